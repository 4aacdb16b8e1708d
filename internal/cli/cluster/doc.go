// Package cluster is the way from a command line to an API server.
//
// Owns: the client that a command works with, calls of a server's own routes, what is told when the API server cannot be reached or refuses, and the
// printing of lists. Does not know: the commands, how a server works.
// Promises: which cluster is meant is decided as for kubectl; every error names the server or the kubeconfig, and what
// to do.
// Start reading at Connect.
package cluster
