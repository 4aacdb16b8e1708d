// Package local is the datastore of one server on its own disk.
//
// Owns: the directory server/db: which files lie there, that only one process uses them, and the move of a database that
// an earlier release left.
// Does not know: how records are kept (sqlite, ramtier) or served (engine, datastore).
// Promises: a file that cannot be used is never overwritten or removed; a database of an earlier release is copied whole,
// checked, and only then moved aside.
// Start reading at Open.
package local
