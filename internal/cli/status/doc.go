// Package status is `skerry status`.
//
// Owns: what is asked, with which patience, what a person sees of it, and the exit code.
// Does not know: how a process knows how it is, and keeps how it ended (the room internal/status does).
// Promises: it answers within a few seconds, whatever hangs; what is worst stands first; it changes nothing.
// Start reading at Show.
package status
