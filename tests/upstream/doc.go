// Package upstream runs the tests that kine, Kubernetes and etcd wrote for their own stores on the engines of this project.
//
// Owns: which of these tests apply, and why the others do not; how they are taken out of their modules as they are, and aimed at
// a store of ours.
// Does not know: what they ask, how an engine works (see engines).
// Promises: nothing of theirs is copied into the tree, and no module is added to the program's; a test of theirs that is neither run nor
// named with a reason is an error, so that a new release of theirs is looked at.
// Start reading at Suite, then suites_test.go.
package upstream
