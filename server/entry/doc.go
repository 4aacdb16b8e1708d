// Package entry is how a machine becomes a further server of a cluster: it asks one of the servers for all that they have in common.
//
// Owns: the first contact of a further server, and whether it may replace what lies on this machine.
// Does not know: what the files are for (server/shared does), how the datastore takes a member.
// Promises: no secret is sent before the server is known to be the token's, so a token has to say whose it is; a machine that belongs to another cluster is left as
// it is; what was cut off is done again as a whole; a refusal leaves nothing behind.
// Start reading at Enter.
package entry
