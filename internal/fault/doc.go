// Package fault is the error that an operator reads: what went wrong, why, and what to do about it.
//
// Owns: the Fault type, the list type Problems, and the recovery of a panic into an error.
// Does not know: who prints it (only internal/cli does) or any other room.
// Promises: errors.Is and errors.As see through to the cause.
// Start reading at Fault.
package fault
