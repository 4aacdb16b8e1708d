// Command summary reads what `go test -json` writes and tells a person: failures with their output, skips with their
// reason, and one last line of counts.
//
// Owns: that output. Does not know: which tests there are.
// Promises: the last line is "N passed, N failed", with ", N skipped" when there are any; the exit code is 0 only if tests
// ran and none failed. A test that has subtests counts by its subtests.
// Start reading at Read.
package main
