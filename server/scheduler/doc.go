// Package scheduler runs upstream kube-scheduler inside the server process.
//
// Owns: its flags. Does not know: anything of nodes or the datastore.
// Promises: ready means that its configuration was taken, as nobody waits for its loop; it never runs beside another
// copy, as a server has one process.
// Start reading at Run.
package scheduler
