// Package command is the command line: the table of commands, and what all of them share.
//
// Owns: the names of commands, help, exit codes, the printing of errors, shell completion, docs/commands.md, and the
// choice of command by the program's own name. Does not know: what a command does; the actions are handed in, so that
// a test of the command line links none of them.
// Promises: an error is printed once, with its cure; 0 is success, 1 a failure, 2 a wrong command line or settings.
// Start reading at Main and Table.
package command
