// Package addresses notices that this machine got another address than the node was started with.
//
// Owns: following the kernel's addresses and routes, and deciding when they have really changed.
// Does not know: what follows from a change, which is a new start of everything; see ADR 16.
// Promises: only another address that stays ends Run, with a Changed; one that is lost, or comes and goes, does not; an
// address from the settings is never changed.
// Start reading at Run.
package addresses
