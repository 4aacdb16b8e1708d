// Package members knows the nodes of the cluster as the pod network sees them.
//
// Owns: the annotations by which nodes tell each other how to reach their pods (flannel's names and form), the watch of
// all Nodes. Does not know: how packets get there.
// Promises: nothing is told before the whole list was seen once, so that no one is taken for gone; a Node whose change is
// of no matter here, as most are, wakes no one; the annotation is written only when it differs.
// Start reading at Watch, then read.
package members
