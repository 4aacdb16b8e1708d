// Package wire is what a server and an agent say to each other.
//
// Owns: the supervisor API's routes and bodies, and the text form of a token.
// Does not know: who serves or calls them; it holds no connections.
// Promises: a token's text pins the server's certificate authority, so that the first contact cannot be intercepted.
// Start reading at Join.
package wire
