// Package again starts the program over in place, when a node cannot go on as what it was started as.
//
// Owns: executing the program again in the same process. Which end of a run means to start over, the end itself says (run.Afresh).
// Does not know: services, settings, what a node is made of.
// Promises: the process keeps its number, arguments, environment and descriptors 0 to 2; a request to stop that came
// meanwhile wins.
// Start reading at OnMove.
package again
