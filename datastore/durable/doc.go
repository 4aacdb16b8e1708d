// Package durable replaces and moves files such that a power cut leaves the old or the new, and never half of one.
//
// Owns: which syncs that takes. Does not know: what is in the files.
// Promises: what returned without an error is on disk, with its name.
// Start reading at Write.
package durable
