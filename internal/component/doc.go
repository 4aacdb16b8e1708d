// Package component runs an upstream Kubernetes program inside this process.
//
// Owns: turning settings and the user's extra flags into the flags of such a program, and waiting until it is healthy.
// Does not know: any particular program.
// Promises: a flag the program does not have is one clear error before it starts; Until never outlives its context.
// Start reading at Flags.
package component
