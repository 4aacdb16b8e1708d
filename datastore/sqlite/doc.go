// Package sqlite keeps records in one SQLite file, by their revisions.
//
// Owns: the file's layout, its settings, the form of a record and its checksum, the write-ahead log's size.
// Does not know: which records belong together, etcd's protocol, other files.
// Promises: a batch is written whole or not at all, and has been synced when Commit returns (synchronous=FULL); a record
// that is read is what was written, or an error says that it is damaged; nothing is rewritten at start.
// Start reading at Open, then DB.Commit.
package sqlite
