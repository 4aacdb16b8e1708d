// Package listeners wakes the nodes that listen on this server for what concerns them.
//
// Owns: who listens at the moment.
// Does not know: what is told, or how.
// Promises: a listener that was woken finds a sign, one however often it was woken meanwhile; nobody waits for a listener.
// Start reading at Nodes.
package listeners
