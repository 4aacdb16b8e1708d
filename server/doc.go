// Package server is the control plane: what a server runs, and in which order it can start.
//
// Owns: the table of the server's services and the state they share (authorities, token, names).
// Does not know: the agent half, which runs beside it on most servers; the command line.
// Promises: a configuration that cannot work is refused by New, before anything runs.
// Start reading at Server.Services.
package server
