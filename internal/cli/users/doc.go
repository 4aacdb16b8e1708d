// Package users is `skerry kubeconfig`.
//
// Owns: a user's key, the request for a certificate, and the kubeconfig with both. Does not know: what the user may do:
// that is for role bindings.
// Promises: the key is made here and goes nowhere but into the kubeconfig; the request does not stay in the cluster; a
// file is written whole, for its owner alone, and never over another one.
// Start reading at Create.
package users
