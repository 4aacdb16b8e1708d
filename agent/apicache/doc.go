// Package apicache is what a node knows of its cluster while no server is in reach.
//
// Owns: recording what the node's own components are told by the API, its file on disk, and the answers made of it: lists,
// watches that stay open, the few writes that a node may make alone; and leading pods to the node meanwhile.
// Does not know: how servers are found, who the components are beyond the user they show, what their objects are for, how rights are
// told; of types it knows Nodes, Pods, EndpointSlices, the ConfigMap with the API's authority and tokens, as far as it has to change them.
// Promises: a component is told again only what a server told that user; a pod of this node is told what servers told any of them,
// if its own roles let it read that, as servers said it, and changes nothing; who learns the servers is never told of this node in their place; no file
// content stops a node: what cannot be read is dropped; the file is sealed with the node's key, bounded, written in
// batches, and whole after a power cut at any moment; when servers are back every watch ends so that all is listed anew.
// Start reading at Cache.Around.
package apicache
