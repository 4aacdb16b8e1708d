// Launcher is bin/skerry as it is installed: it unpacks the programs at its own end once, and becomes the real skerry.
//
// Owns: where the programs are unpacked to, and what happens when that directory cannot be written.
// Does not know: commands, flags other than the two that say where the data directory is, Kubernetes.
// Promises: arguments and environment arrive at the real program as they were given; a second start only looks and runs.
// Start reading at launch.
package main
