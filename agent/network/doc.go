// Package network connects the pods of this node, with each other and with those of other nodes.
//
// Owns: the routes that keep pod and service traffic off the uplink, the kernel settings for forwarding, the node's own
// nftables table, and the CNI configuration. Does not know: who starts pods, services; how packets cross (overlay); what
// a Node says (members).
// Promises: the guard routes stand before anything else starts; the CNI configuration appears only when a pod could
// get its network, which is what makes the node Ready, and does not wait for other nodes; every change of the host is in
// the ledger; nothing is polled: nodes and the kernel tell of changes; a node that boots while no server can be reached
// goes by what it saw last.
// Start reading at Guard, then Run.
package network
