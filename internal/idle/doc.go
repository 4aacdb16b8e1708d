// Package idle makes a process that has little to do cost little.
//
// Owns: how the kernel maps the program's own file, and how exactly it wakes the program's threads.
// Does not know: what the program does.
// Promises: nothing changes but memory, wake-ups, and how late a timer may be in a process that sleeps; on a kernel that
// cannot do it, or does not allow it, nothing changes at all.
// Start reading at LateTimers, then SmallPages.
package idle
