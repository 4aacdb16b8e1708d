// Package nodes is which key belongs to which node name.
//
// Owns: the records of key fingerprints, which are Secrets of the cluster, and when a name may go to another key.
// Does not know: tokens, certificates, HTTP.
// Promises: of two keys that claim a name, one gets it; a name is not taken from a key as long as its Node exists.
// Start reading at Claim.
package nodes
