// Package network connects the pods of this node.
//
// Owns: the routes that keep pod and service traffic off the uplink, the kernel settings for forwarding, the node's own
// nftables table, and the CNI configuration. Does not know: who starts pods, services.
// Promises: the guard routes stand before anything else starts; the CNI configuration appears only when a pod could
// get its network, which is what makes the node Ready; every change of the host is in the ledger.
// Start reading at Guard, then Run.
package network
