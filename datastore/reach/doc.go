// Package reach waits for a datastore that others run: it often boots later than the server that needs it.
//
// Owns: the pauses between attempts, and telling what time may cure from what it cannot.
// Does not know: which datastore, what is said to it.
// Promises: what waiting cannot cure (a certificate that is not believed, a password) is an error at once; all else is tried until it
// works or nobody wants it any more, and said each time.
// Start reading at Await.
package reach
