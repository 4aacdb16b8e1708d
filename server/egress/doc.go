// Package egress decides how the API server reaches what it calls itself: kubelets, pods, webhooks.
//
// Owns: which address belongs to which node, what of it goes through the node's tunnel, and what is dialed directly.
// Does not know: how a tunnel works (it takes Tunnels), how kube-apiserver is told to dial here.
// Promises: the API server's start never waits for it; an address that two nodes have leads to the one that is there, and
// to none when both are; what no mode covers is dialed as if there were no tunnels.
// Start reading at Dialer.Dial.
package egress
