// Package snapshots keeps copies of a datastore, for the day on which its database is damaged.
//
// Owns: the folder of copies, how many there are, their form on disk (compressed, with checksums).
// Does not know: when one is due, what becomes of a copy.
// Promises: a copy was read back before it counts; the newest that is whole is found, and one that is not is moved aside.
// Start reading at Ring.
package snapshots
