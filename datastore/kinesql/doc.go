// Package kinesql is kine's engine over SQL, with the pure-Go SQLite under it.
//
// Owns: the file state.db in the directory it is given, its settings, and the check that it is a database that works.
// Does not know: etcd's protocol, Kubernetes.
// Promises: an answered write has been synced to disk (synchronous=FULL); nothing is rewritten at start (no VACUUM).
// It was the engine of the first releases; package local takes over what it kept. The conformance suite runs it to know
// where it differs, and databases of others will be reached through it.
// Start reading at Open.
package kinesql
