// Package heartbeat makes the sign of life of a node short: the kubelet sends its lease every ten seconds, 1.3 kB there and back,
// and all that is new in it is the time. That goes to the server as a word of some bytes through the node's tunnel.
//
// Owns: telling a renewal from a change, and the lease as the kubelet and the server last had it.
// Does not know: how words reach a server, which server that is, or who the kubelet is besides the user it shows.
// Promises: the kubelet hears that its lease is renewed only when a server has renewed it; what is more than a renewal, and what a
// server does not answer, goes in full, as without this; nobody but the kubelet has the lease renewed.
// Start reading at renewals.RoundTrip.
package heartbeat
