// Package engines opens and fills the datastore of a cluster while no server runs, whichever of the engines it is.
//
// Owns: which engines there are, by the words that commands know them by; an engine's life for the time of one command.
// Does not know: what is read or written, the settings of a server.
// Promises: an engine that is opened is the only user of its files, and was closed in order when Close has returned; Fill leaves
// nothing behind when it fails, but an empty table in a database.
// Start reading at Engine.
package engines
