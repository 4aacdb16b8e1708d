// Package sqlitefile is what every engine over SQLite needs to know of a file before it opens it.
//
// Owns: how a path becomes a data source name; telling a database from any other file; the words for one that cannot be used.
// Does not know: what is in a database.
// Promises: a file that is not a database is refused before SQLite would write beside it.
// Start reading at Check.
package sqlitefile
