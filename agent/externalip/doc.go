// Package externalip shows on the Node which addresses it is reached by from outside, as a cloud controller would.
//
// Owns: the addresses of a Node whose settings name external ones. Does not know: where they come from, other Nodes.
// Promises: the kubelet's own addresses stay as it would say them; nothing is written when the Node has all of them
// already. The kubelet has to run with an external cloud provider, since it otherwise puts its own addresses back.
// Start reading at Run.
package externalip
