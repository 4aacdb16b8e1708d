// Package podrights tells nodes what they need in order to answer their own pods while no server is in reach.
//
// Owns: whose rights a node is told, what of a role is told, and when it is told anew.
// Does not know: what a node does with it, who the node is (the supervisor does); it decides nothing itself: roles are resolved by
// Kubernetes' own code.
// Promises: a node hears of the ServiceAccounts of pods that are bound to it, and of no others; of their roles, what they may
// read; where others than roles decide who may do what, it hears nothing at all. It hears of a change within seconds, and while nothing changes, it is
// told nothing. What is known comes from what the API server watches for itself.
// Start reading at Rights.Tell and Rights.of.
package podrights
