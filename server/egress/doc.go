// Package egress decides how the API server reaches what it calls itself: kubelets, pods, webhooks.
//
// Owns: which address belongs to which node, what of it goes through the node's tunnel, what is dialed directly, and that
// this process can look up the names of nodes.
// Does not know: how a tunnel works (it takes Tunnels), how kube-apiserver is told to dial here.
// Promises: the API server's start never waits for it; two nodes with one address are told apart by their names, and an
// address that two have leads to the one that is there, to none when both are; what no mode covers is dialed as if there were no tunnels.
// Start reading at Dialer.Dial.
package egress
