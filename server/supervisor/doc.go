// Package supervisor is the one port of a server: Skerry's own small API, and Kubernetes' API behind it.
//
// Owns: the TLS listener, who may call which of our routes, what a joining node is given, and holding requests back
// for the moment until the API server can answer. Does not know: how the API server is built.
// Promises: it answers a ping as soon as it listens; nothing of a node is handed out without the token.
// Start reading at Port.
package supervisor
