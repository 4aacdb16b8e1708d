// Package lines lets servers tell nodes something whenever it changes: by the answer to a request, which stays open and gets a line each
// time.
//
// Owns: the form of such an answer, on both sides; the pauses before a server is asked again; telling an answer from a refusal.
// Does not know: what is told, who may hear it, or when it changes.
// Promises: a line is heard as soon as it is said; a server that has come back is asked within a second of a Hurry, and within 2 minutes
// without one; many nodes that lost it at the same moment do not ask it at the same moment; nobody is
// handed a line that was cut off, or is longer than the asker bears.
// Start reading at Source.Follow, and at Open for the other end.
package lines
