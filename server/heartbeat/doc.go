// Package heartbeat renews the leases of nodes that say by their tunnels that they live.
//
// Owns: turning a node's word into a change of its lease.
// Does not know: how words come, or what a lease means to the controllers.
// Promises: the node's own rights decide, as if it had sent the change itself; nothing but the time of renewal changes, and only
// in the lease that the node knows; who cannot be answered in time is refused, and sends the whole lease.
// Start reading at Renewals.Hear.
package heartbeat
