// Package host is what Skerry knows of, and does to, the machine it runs on.
//
// Owns: the ledger of host changes and how each kind is undone; the lock that one node holds; small probes of what the host can do.
// Does not know: Kubernetes, the configuration, or who asked for a change.
// Promises: a change is on disk before it is made; undo runs newest first, bears a kill at any line, and leaves alone what someone else changed since.
// Start reading at Ledger.Apply.
package host
