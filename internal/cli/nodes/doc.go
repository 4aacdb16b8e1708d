// Package nodes is `skerry node`.
//
// Owns: the list of nodes, giving a name to another key, and the order in which a node leaves: no new pods, no pods, no
// Node, no key. Does not know: how a server keeps keys (package nodes of the server does), the machine of a node.
// Promises: a drain that cannot end changes nothing or leaves a node that only takes no new pods, and says so; a Node
// is deleted only when its pods are gone.
// Start reading at List and Remove.
package nodes
