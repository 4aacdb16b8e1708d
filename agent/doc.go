// Package agent is a node: what runs pods, and in which order it can start.
//
// Owns: the table of the node's services, and what the host is asked for on their behalf.
// Does not know: the server half, even where it runs beside it: a node has a server's URL and a token, no more.
// Promises: the same code runs beside a server and alone; nothing on the host changes without the ledger.
// Start reading at Node.Services.
package agent
