// Package token is the secrets that let nodes join: the server token, the agent token, and short-lived ones.
//
// Owns: the token files of a server, and the form of a short-lived token's Secret. Does not know: HTTP, nodes.
// Promises: the file is made once; a token the user set wins and is written to the file; one that was replaced never
// comes back by itself; secrets are compared in constant time.
// Start reading at Open and Store.Check.
package token
