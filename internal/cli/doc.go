// Package cli composes the program: it is the only code that sees both server and agent.
//
// Owns: what each command calls. Does not know: how a command is parsed or printed (package command does), or how
// anything works: a command is a few lines that hand settings to a room.
// Promises: nothing here reads the process's arguments or environment but OS; nothing here ends the process.
// Start reading at Main.
package cli
