// Package engines runs a store of the engine that is under test, for tests that others wrote.
//
// Owns: the words by which an engine is named to a test's process, and a store's life for the time of one test.
// Does not know: what is asked of a store.
// Promises: each store is new and empty, and is gone with its test.
package engines
