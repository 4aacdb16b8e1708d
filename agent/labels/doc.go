// Package labels asks the cluster for the labels and taints that the node's settings name.
//
// Owns: comparing the settings with the node's own object at each start, and the request.
// Does not know: which labels and taints a node may have; a server decides and sets them.
// Promises: a start at which all is as it should be writes nothing.
// Start reading at Run.
package labels
