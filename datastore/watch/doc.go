// Package watch answers etcd's Watch API for a store.
//
// Owns: the one subscription to the store, who watches what, the order in which a client is told.
// Does not know: how a store keeps its data; the rest of etcd's API.
// Promises: a watch is told every change in its range once, in the order of revisions; one that begins now, none that was answered before. A progress report names a
// revision only after all changes up to it were sent on that stream, and is sent as soon as that is so. Nothing wakes
// up while nothing changes.
// Start reading at Hub.
package watch
