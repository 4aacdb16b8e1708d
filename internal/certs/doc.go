// Package certs makes keys and X.509 certificates and keeps them in files.
//
// Owns: key type, validity rules, PEM. Does not know: which certificates a cluster has (server/pki and
// agent/identity do), HTTP.
// Promises: a file is either the old or the new one, also after a power cut; a private key's file is readable by its
// owner alone; certificates are valid on a machine whose clock stands at 1970.
// Start reading at CA.Sign.
package certs
