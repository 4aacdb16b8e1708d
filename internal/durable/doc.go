// Package durable replaces and moves files such that a power cut leaves the old or the new, and never half of one.
//
// Owns: which syncs that takes, and the files that stand in for one that is being written. Does not know: what is in them.
// Promises: what returned without an error is on disk, with its name; a file is never readable by more people than it is
// to be, not even while it is written.
// Start reading at Write.
package durable
