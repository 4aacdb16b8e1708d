// Package status tells how a node is: one Report, in the forms that people, programs and monitors read.
//
// Owns: the Report and what it makes of the services' states; the unix socket that gives it to root, and the client of that
// socket; the file that remembers how the last run ended; the metrics, the /readyz?verbose text and the line for systemd.
// Does not know: what any service does, the cluster, how a terminal shows it.
// Promises: all forms say the same; telling needs neither the API server nor the network; a process that hangs is told
// from one that is gone; nothing is written while a node runs, and an idle node spends nothing on it.
// Start reading at Report, then Board.
package status
