// Package sqlite keeps records in one SQLite file, by their revisions, and the latest of them in a small file beside it.
//
// Owns: the files' layout, their settings, the form of a record and its checksum, how long the logs get.
// Does not know: which records belong together, etcd's protocol, other files.
// Promises: a batch is written whole or not at all, and has been synced when Commit returns; a record that is read is what was
// written, or an error says that it is damaged; nothing is rewritten at start.
// A small batch goes to the file of the latest changes and into a transaction of the database that stays open; when the file is full,
// that is committed (synchronous=FULL), and the file begins anew. A large batch is committed at once, but not while the write-ahead log is
// brought into the database: that is done beside the commits, and nothing is added meanwhile. When the disk fails at that, nothing is
// written any more. What the file holds counts only when it is sealed with the key that the database has: no value of a client can pass for it.
// Start reading at Open, then DB.Commit.
package sqlite
