// Package target decides what a tool talks to when nobody says.
//
// Owns: the choice of kubeconfig, runtime socket and crictl program, and the checks that they are there.
// Does not know: the tools themselves, so that its tests link none of them.
// Promises: what the user names is kept; a kubeconfig that cannot be used is one error with a cure.
// Start reading at Kubeconfig.
package target
