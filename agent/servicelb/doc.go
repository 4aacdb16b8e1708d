// Package servicelb announces the addresses of Services that have one from a pool, and at its start those of the machine.
//
// Owns: which of the nodes that may have an address has it now; ARP and neighbour discovery packets about it; the address on
// the interface. Does not know: who may have it and who gets which address, which the Service says; where packets go then,
// which is kube-proxy's.
// Promises: an address that someone answers for is not taken; one that nobody announces any more is taken by another node in
// less than five seconds, with or without a server; of two that have one, one lets go at once; an address outlives this
// process by minutes, so that a restart moves nothing, and goes by itself after that; without such Services a silent watch
// is all there is.
// Start reading at Run, then seat.
package servicelb
