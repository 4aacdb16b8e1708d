// Package hostcheck tells whether a host can be a node, before anything is changed on it.
//
// Owns: the list of checks, what is required and what is merely better, and the cure of each.
// Does not know: how a node uses what is checked; how the host is probed where internal/host does that.
// Promises: nothing on the host is changed that outlives the run; a check that cannot be tried (no privilege, an emulator) says so and never crashes.
// Start reading at Run.
package hostcheck
