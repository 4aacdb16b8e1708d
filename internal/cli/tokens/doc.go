// Package tokens is `skerry token`.
//
// Owns: making, listing and deleting short-lived tokens, and asking the server for another one of its own.
// Does not know: how a server checks a token; the form of its Secret is package token's.
// Promises: a list shows no secret; a token is printed only to who made it; all that is wrong is told before anything
// is changed.
// Start reading at Create.
package tokens
