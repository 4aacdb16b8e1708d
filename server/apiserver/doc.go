// Package apiserver runs upstream kube-apiserver inside the server process.
//
// Owns: its flags, handing its handler to the one port, the objects a first pod needs, and describing the API on demand.
// Does not know: who listens on the port, where the data lies.
// Promises: when it is ready every post-start hook is done, and the namespace default has its ServiceAccount and the
// cluster's CA, so that the first pod needs no second try.
// Start reading at Server.Run.
package apiserver
