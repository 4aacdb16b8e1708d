// Package ipam is the plugin skerry-ipam: host-local, which also tells the node which pod is about to get which address.
//
// Owns: the question to the node and what becomes of an address that is refused. Does not know: how addresses are chosen, which is host-local's; what
// the node does with the answer.
// Promises: a pod has its address only after the node agreed; one that is refused is given back; giving an address back never waits for the node.
// Start reading at Main.
package ipam
