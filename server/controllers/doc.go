// Package controllers runs upstream kube-controller-manager inside the server process.
//
// Owns: its flags. Does not know: which objects exist, the datastore.
// Promises: ready means that every controller is built, so that none of them sets package variables of Kubernetes any
// more; it never runs beside another copy, as a server has one process.
// Start reading at Run.
package controllers
