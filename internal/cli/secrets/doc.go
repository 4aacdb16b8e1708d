// Package secrets is `skerry secrets-encrypt`.
//
// Owns: asking a server how Secrets are stored and to change their key, and printing what it says.
// Does not know: how that is done, nor any key.
// Promises: the exit code of status is 0 when all is as the setting says; a rotation that is interrupted here goes on in the
// server.
// Start reading at Status.
package secrets
