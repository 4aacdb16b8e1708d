// Package netpol gives nodes the right to watch what network policies follow from.
//
// Owns: one ClusterRole and its binding. Does not know: how a node makes policies true.
// Promises: the right is there soon after the API server, as pods wait for it; without the component it is gone.
// Start reading at Allow.
package netpol
