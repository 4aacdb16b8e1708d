// Package dump is the form in which records lie in a file of their own: checkpoints and snapshots.
//
// Owns: the layout, and the checksum over all of it. Does not know: which records, where the file lies, compression.
// Promises: what is read is what was written, whole, or ErrDamaged.
// Start reading at Write.
package dump
