// Package main is CoreDNS as a program of its own, to measure Skerry's DNS beside it.
//
// Owns: which plugins are in it: those of the Corefile that clusters usually have.
// Does not know: Skerry.
// Promises: it is CoreDNS' own main, of the version that Skerry has inside.
// Start reading at TestDNSLoad in tests/cluster.
package main
