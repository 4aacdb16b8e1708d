// Package releases installs, upgrades, rolls back and uninstalls Helm releases with the Helm library.
//
// Owns: how the library is used: its clients of the API server, what it waits for, its records, and what is done after a
// failure or an interruption.
// Does not know: HelmChart objects, where charts are from, when to try again.
// Promises: a failed upgrade is rolled back; a release that somebody else owns is not touched; a call returns when nothing
// of it runs any more, soon after its context ends; the library reads no file, variable or schema, and nothing of it stays
// in memory between two calls.
// Start reading at Releases.Apply.
package releases
