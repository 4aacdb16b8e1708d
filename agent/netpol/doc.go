// Package netpol makes NetworkPolicy objects true for the pods of this node.
//
// Owns: the nftables tables named skerry-netpol (inet, and bridge where the kernel hands no bridged packets to inet), the socket on which the node's IPAM
// plugin tells of addresses before pods get them, and what was told. Does not know: who starts pods, how packets cross between nodes.
// Promises: a connection that the policies do not allow passes no packet, in neither direction, from the moment they are in force, also one that was
// there before; a pod that a policy selects has no address before its rules are in force; rules change as a whole or not at all and stand while this process
// is away; without a policy in the cluster there is one silent watch and no rule.
// Start reading at compile, which is all the meaning; then Run.
package netpol
