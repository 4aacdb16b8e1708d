// Package tools is the programs that Skerry also is: kubectl, ctr and crictl.
//
// Owns: where each finds the cluster or the runtime when nobody says, and a clear error when it is not there.
// Does not know: the servers and nodes, or other commands.
// Promises: what the user names, by flag or variable, is always used. kubectl prints its own errors and may end the
// process, as upstream's does.
// Start reading at Kubectl.
package tools
