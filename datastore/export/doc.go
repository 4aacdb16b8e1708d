// Package export reads all that a cluster keeps out of a datastore that is in use, whatever its engine.
//
// Owns: which keys are worth keeping, how much is asked for at a time, the digest that tells two stores apart.
// Does not know: what becomes of the records, which engine answers.
// Promises: all records are as they were at one revision, in the order of their keys, each once, or it is an error; writers are
// not held up, and memory does not grow with the store.
// Start reading at Open, then View.Records.
package export
