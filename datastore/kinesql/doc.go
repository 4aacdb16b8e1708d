// Package kinesql is kine's engine over SQL: Postgres and MySQL (also MariaDB) that others run, and the pure-Go SQLite.
//
// Owns: how each database is reached, its table, and the order in which writes become visible in it; the file state.db of SQLite.
// Does not know: etcd's protocol, Kubernetes, which setting named the database.
// Promises: an answered write is committed; changes become visible in the order of their revisions, whoever wrote them; an answer
// that broke off is an error and never a shorter answer; no error and no log line holds a password; nothing is rewritten at a
// start (no VACUUM).
// SQLite was the engine of the first releases; package local takes over what it kept. The conformance suite runs it to know where it
// differs.
// Start reading at Connect.
package kinesql
