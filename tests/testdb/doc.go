// Package testdb starts databases of others for tests: Postgres, MariaDB and etcd, each in a directory of its own.
//
// Owns: their settings for tests (nothing is synced to disk), their user and password, their certificates. Does not know: what is stored.
// Promises: a database runs as an unprivileged user, listens on 127.0.0.1 alone, and is gone when its test is; nothing of the
// host's own databases is touched. Where the programs are not installed the test fails and says how to get them; without root it
// is skipped.
// Start reading at Postgres.
package testdb
