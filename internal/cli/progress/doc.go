// Package progress shows a person what a start is waiting for or how far a command is, and a log file what became ready.
//
// Owns: the line at the bottom of a terminal. Does not know: what the services do.
// Promises: log lines and the status line never mix; a pipe gets log lines only.
// Start reading at Display.
package progress
