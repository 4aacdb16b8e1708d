// Package datastore is where everything a cluster knows is stored.
//
// Owns: the Store interface that every engine implements, and serving a Store as the etcd v3 API on a unix socket.
// Does not know: Kubernetes, which engine is behind a Store (see the folders below), the command line.
// Promises: a write that was answered is on disk; revisions only grow; a client that can reach the socket is root.
// Start reading at Store, then Serve.
package datastore
