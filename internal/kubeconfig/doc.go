// Package kubeconfig writes the files by which clients find and trust an API server.
//
// Owns: the form of the file. Does not know: which clients exist.
// Promises: a file is replaced as a whole, with the mode it is given.
// Start reading at File.Write.
package kubeconfig
