// Package reach is what of a node its servers may reach through their tunnels.
//
// Owns: the rule which addresses they may ask for, and connecting to them.
// Does not know: how a tunnel works; what the servers want.
// Promises: whatever a server asks for, it gets to this node's kubelet, and in the modes pod and cluster to pods of this
// node, never to anything else on this machine or in the network around it.
// Start reading at Reach.Dial.
package reach
