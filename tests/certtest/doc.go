// Package certtest makes certificates for tests, and shows which one is used.
//
// Owns: authorities, files of what they sign, a server that tells what it is shown. Does not know: who uses them.
// Promises: a certificate is good for a server at the address and for a client.
// Start reading at CA and New.
package certtest
