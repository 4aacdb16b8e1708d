// Package cluster proves what Skerry promises, with the real binary, in throw-away hosts and with real programs: one file
// per promise.
//
// Owns: the promises' tests and the objects they apply (testdata).
// Does not know: Skerry's packages. It sees what a user sees: the command line, the API, files, processes, packets.
// Promises: a test waits for what it wants to see and never for a time to pass; where the clock matters no other cluster runs; what
// fails leaves logs and says where.
// Start reading at node in node_test.go, then start_test.go.
//
// The binary is ../../bin/skerry or $SKERRY_BIN. Images are made from Debian packages into build/test-images.
package cluster
