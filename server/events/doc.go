// Package events leaves Events about objects, which `kubectl describe` shows.
//
// Owns: their names, their counting, what is no error about them.
// Does not know: what is told, and about what.
// Promises: the same said again about the same object counts one more, also by another server or after a restart; an object
// or namespace that is gone is no error, as nobody is left to be told.
// Start reading at Teller.Tell.
package events
