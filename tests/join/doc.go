// Package join tries the two halves of a join with each other: a node's identity and a server's supervisor.
//
// Owns: what only shows when both are there. Does not know: Kubernetes; its API is a fake.
// Promises: what the tests' names say, over real TLS on the loopback interface.
// Start reading at newCluster.
package join
