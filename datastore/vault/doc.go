// Package vault makes backups of a cluster, brings clusters back from them, and moves them from one engine to another.
//
// Owns: which files belong to a cluster besides its datastore, which of its settings another machine has to have, the order in which things
// are written, what is put aside.
// Does not know: how backups look or where they lie, how an engine keeps its records, whether a server runs.
// Promises: a backup is of one moment, files and keys together, and lacks nothing that a cluster cannot do without; what Check has praised
// can be restored; a restore or migration touches nothing before all of the backup or copy was read and is whole; what was there before is put aside, never removed; a power cut leaves the old or the new.
// Start reading at Source.Make, Backup.Check, Restoration.Run and Migration.Run.
package vault
