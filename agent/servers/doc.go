// Package servers is the list of API servers that a node may use.
//
// Owns: learning it from the cluster, remembering it on disk, its order, telling of changes.
// Does not know: who uses the list, which servers answer.
// Promises: the list is never empty and never forgets the server of the settings; what was learned survives a reboot with
// no server in reach; an empty answer of the cluster changes nothing.
// Start reading at Servers.
package servers
