// Package secrets keeps Secrets encrypted in the datastore, and changes their key while the API server runs.
//
// Owns: the file with the keys (kube-apiserver's EncryptionConfiguration), the order of them, what the API server writes and reads
// Secrets with, rewriting them, and the stages of a rotation.
// Does not know: the API; Secrets are read and replaced as the datastore has them. How the other servers get the file.
// Promises: a key is in the file, on disk, before anything is written under it; it leaves the file when nothing stored is
// under it; a rewrite never replaces what somebody wrote meanwhile; a power cut at any point leaves Secrets readable, and
// the next start goes on from there.
// Start reading at Secrets.rotate.
package secrets
