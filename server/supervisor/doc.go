// Package supervisor is the one port of a server: Skerry's own small API, and Kubernetes' API behind it.
//
// Owns: the TLS listener, who may call which of our routes and how often, what a joining node is given, and holding
// requests back for the moment until the API server can answer. Does not know: how the API server is built, how a
// tunnel works.
// Promises: it answers a ping as soon as it listens; nothing but a ping, the CA and whether the API server is ready is
// told without a token or a client certificate; a node gets certificates for its own name and key only.
// Start reading at Supervisor.table and Port.
package supervisor
