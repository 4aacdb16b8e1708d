// Package nodesettings gives nodes the labels and taints that their settings name, and servers their role, and has no node
// wait for a cloud controller.
//
// Owns: which of them a node may ask for, applying them, and remembering what was applied.
// Does not know: settings files; a node asks by an annotation, see wire.NodeSettings.
// Promises: each request is carried out once, so that what an administrator changes afterwards stays until the node's
// next start; only what was given here is taken away; a node cannot use it to get rid of other taints, or to take a label
// that is not a node's to take.
// Start reading at Run.
package nodesettings
