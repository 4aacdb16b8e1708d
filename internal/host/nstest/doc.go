// Package nstest runs a test in namespaces of its own, so that it may change the host as it likes.
//
// Owns: how a test starts itself again inside new namespaces.
// Does not know: what is tested.
// Promises: nothing that the test does to mounts, network or processes outlives it; without root it is skipped, with the reason.
// Start reading at Inside.
package nstest
