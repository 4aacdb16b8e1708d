// Package datastore is `skerry datastore`: what the server on this host knows of where the cluster is kept, and taking a lost server out of it.
//
// Owns: how it is printed, and how long a card lives by it. Does not know: engines, members; the process is asked on its socket, a server by
// its route.
// Promises: what is not known is not printed as a number; the JSON has the names of status.Datastore.
// Start reading at Status.
package datastore
