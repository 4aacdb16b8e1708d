// Package overlay carries packets between the pods of different nodes.
//
// Owns: the ways to do so (vxlan, host-gw, WireGuard), their interface, its MTU and address, and the kernel's routes,
// neighbours and peers that lead to other nodes. Does not know: where the list of nodes comes from, how pods are wired.
// Promises: what is in the kernel already and right is left as it is, so that a restart cuts no connection; what leads to
// a node that is not on the list goes; every interface is in the ledger before it is made.
// Start reading at Open, then Backend.
package overlay
