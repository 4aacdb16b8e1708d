// Package storetest holds every engine to the same promises.
//
// Owns: what a datastore.Store must do, as tests that any engine can be put through, and the crash test.
// Does not know: how an engine works.
// Promises: an engine that passes cannot be told from another by its answers, save what it says that it lacks.
// Start reading at Run, then Crash.
package storetest
