// Package backup is the form of a backup: one sealed file that holds a whole cluster.
//
// Owns: the layout (an age file, in it zstd, in it a tar), what is said about the cluster, the passphrase and keys that it
// is sealed with, the check that a file is whole.
// Does not know: where files lie, what the records mean, how a cluster is brought back.
// Promises: what Read has handed over counts when it has returned without an error, and then it is what Write was given, all of
// it; a file that is cut off, altered, sealed for somebody else or of a later form is refused with the reason; neither writing
// nor reading takes memory that grows with the cluster.
// Start reading at Write and Read.
package backup
