// Package backups is `skerry backup`, `skerry restore` and `skerry migrate`.
//
// Owns: what these commands print, where a running server is found, that none runs where none may.
// Does not know: the form of a backup, engines, storage.
// Promises: a secret is printed by no command but `backup identity`, which was asked for it; standard output is only what was asked
// for, everything else goes to standard error.
// Start reading at Make, Restore and Migrate.
package backups
