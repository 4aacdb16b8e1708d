// Package powercut records what a process asks of the disk, and makes directories as a power cut could have left them at any moment
// of it. It is for tests.
//
// Owns: following a process by its system calls, and what a disk may forget: whatever was not synced, in pieces of a sector, and
// names whose directory was not.
// Does not know: what is in the files.
// Promises: what a sync that has returned covers is there, and so is the name when its directory was synced; all else may be there, be
// gone, or be there in part.
// Start reading at Record and Log.After.
package powercut
