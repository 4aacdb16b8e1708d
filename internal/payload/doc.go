// Package payload is the archive at the end of bin/skerry, and the directory of versions it is unpacked to.
//
// Owns: the archive format (Write, Open), the unpacking, and which versions stay on disk (Store).
// Does not know: where the data directory is, or what the programs inside do.
// Promises: a version's directory is either complete, but for programs that wait until they are asked for, or absent, also after a power cut, a full disk or two starts at once;
// a version that a running process was started from is never removed. Start reading at Store.Prepare.
package payload
