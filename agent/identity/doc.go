// Package identity is who this node is: a key made here, and the certificates a server signed for it.
//
// Owns: the node's key, the first contact with a server, and the files the node's components authenticate with.
// Does not know: Kubernetes, who uses the files.
// Promises: the key never leaves the node; a server is only told the token's secret after its CA matched the token.
// Start reading at Node.Run.
package identity
