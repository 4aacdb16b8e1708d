// Pack makes bin/skerry: the launcher with an archive of the programs at its end.
//
// Owns: the order launcher, archive. Does not know: the archive's format (internal/payload) or what the programs are.
// Promises: the output appears complete or not at all. Start reading at pack.
package main
