// Package storage makes and removes the directories of this node's volumes, as a server orders.
//
// Owns: the storage directory, what may be removed from it and how, project quotas.
// Does not know: claims and volumes of the cluster; orders name a directory, and a server says whether it is kept.
// Promises: nothing outside the directories that this node has kept volumes in is ever touched, and no symbolic link or
// mount in them is followed, whatever pods put there; a directory is on disk before a server hears of it; one that nobody
// wants after a crash is removed again; an order that cannot be carried out is tried again and says why.
// Start reading at Storage.Run, then keeper.make and keeper.remove.
package storage
