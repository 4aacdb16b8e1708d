// Package budget keeps what Skerry costs from growing unseen: the modules that are linked in, the size of the binary, the
// memory of an idle node.
//
// Owns: the numbers, where they were measured, and the rule for raising each, beside the number.
// Does not know: Skerry's packages; it looks at the built binary, the list of modules and the processes of a test host.
// Promises: a number that is exceeded is a failure that says what to do; what cannot be measured here is a skip with its
// reason, never a pass. Times and idle CPU are not judged here, as other work on the machine would change them: they are
// in docs/performance.md.
// Start reading at TestIdleMemory.
package budget
