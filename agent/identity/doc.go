// Package identity is who this node is: its key, its certificates, and what its cluster has in common.
//
// Owns: the first contact with a server, the renewal of certificates, and the files that come out of both. Does not
// know: what the certificates are used for, how the server signs.
// Promises: the key never leaves the node; no secret is sent before the server is known to be the token's; a node that
// has joined once is ready without any server; a refusal leaves nothing behind; a new certificate replaces the old one
// as a whole, in memory and on disk, without a restart.
// Start reading at Node.Run.
package identity
