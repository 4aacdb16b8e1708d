// Package wallclock runs a program with another wall clock than the machine's, which is not touched: 1970, yesterday, years ahead.
//
// The kernel has no namespace of that clock. Programs ask for it in the vDSO, a page of code that the kernel gives to each; in that
// program's own copy it is replaced by code that adds a difference. It is for programs that ask there, as those written in Go do.
// The few calls that set the clock, or ask who keeps it, are stopped by a filter and answered by a second process.
//
// A test binary becomes the program when it is called Name:
//
//	wallclock run SOCKET 1970-01-01T00:00:20Z skerry agent
//
// Owns: the clock of one process, also when it executes another program, and the socket that sets it meanwhile.
// Does not know: what runs, hosts.
// Promises: the process has the number, the signals and the end of the program; it may set its clock, and hears when others do;
// programs that it starts have the machine's time and cannot set that more than before; times of files are the machine's.
// Cannot do: other processors than amd64; fractions of a second.
// Start reading at Main.
package wallclock
