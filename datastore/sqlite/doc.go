// Package sqlite keeps the cluster's state in one SQLite file.
//
// Owns: the file state.db in the directory it is given, its settings, and the check that it is a database that works.
// Does not know: etcd's protocol, Kubernetes.
// Promises: an answered write has been synced to disk (synchronous=FULL); nothing is rewritten at start (no VACUUM).
// The engine is kine's generic one over the pure-Go driver modernc.org/sqlite; see docs/adr for what replaces it.
// Start reading at Open.
package sqlite
