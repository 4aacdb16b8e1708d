// Package podrights is what a node knows of the rights of its own pods while no server is in reach.
//
// Owns: hearing it from servers, its file on disk, telling whose a ServiceAccount's token is, and what its roles let it read.
// Does not know: who asks the API, how, and for which pods; nor, of a token that is bound to a pod, whether there is that pod.
// Promises: nobody is taken for a ServiceAccount whose token no server of this cluster has signed for the API; nobody may read
// what servers did not say last that he may, and nobody may anything else than read; a file that is damaged gives no rights; the file is written only
// when what servers say is new; while nothing changes, nothing is said to servers.
// Start reading at Rights.Who and Rights.May.
package podrights
