// Package kubeproxy runs upstream kube-proxy inside the agent process.
//
// Owns: its flags. Does not know: how it reaches a server (a kubeconfig tells it).
// Promises: it works in nftables mode, in tables of its own; a conntrack limit it may not set does not stop it.
// Start reading at Run.
package kubeproxy
