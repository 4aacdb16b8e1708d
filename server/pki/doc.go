// Package pki is the cluster's certificate authorities and the certificates of the control plane.
//
// Owns: the tls directory of a server: which authorities exist, which leaves they issue, when those are issued again.
// Does not know: HTTP, who uses a certificate for what, the key of any node.
// Promises: an authority's key is made once and never replaced; a leaf that is damaged, expiring or no longer fits its
// names is issued again at start and by Renew; a damaged authority is an error, because replacing it would cut off every node.
// Start reading at Open.
package pki
