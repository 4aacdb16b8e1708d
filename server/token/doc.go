// Package token is the secret that lets nodes join.
//
// Owns: the token file of a server. Does not know: HTTP, nodes.
// Promises: the file is made once; a token the user set wins and is written to the file; a secret is compared in
// constant time.
// Start reading at Open.
package token
