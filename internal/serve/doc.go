// Package serve runs an HTTPS server for as long as a service lives.
//
// Owns: the end of a listener: a moment for requests in flight, then closing what never ends on its own.
// Does not know: what is served, certificates.
// Promises: when TLS returns, nothing listens any more.
// Start reading at TLS.
package serve
