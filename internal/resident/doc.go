// Package resident keeps the part of the program's own file small that is in memory.
//
// Owns: how the kernel maps the program. Does not know: what the program does.
// Promises: nothing changes but memory use; on a kernel that cannot do it, nothing changes at all.
// Start reading at SmallPages.
package resident
