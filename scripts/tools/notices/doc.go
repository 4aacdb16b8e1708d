// Notices writes the licences of everything that is in the shipped programs, each text once.
//
// Owns: which files of a module are licences, and what counts as the same text. Does not know: which modules are linked in; the
// script scripts/notices says so, one line for each package on standard input. Promises: the same input gives the same output.
// Start reading at run.
package main
