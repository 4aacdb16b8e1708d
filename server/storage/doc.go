// Package storage is the provisioner of the StorageClass local-path: it decides which node makes or removes which volume.
//
// Owns: the StorageClass; PersistentVolumes of the provisioner, from the claim to the deletion; the events that say what is
// in the way.
// Does not know: file systems. Nodes ask what to do and report what they did, see wire.VolumeOrders.
// Promises: what a node shall do is computed from claims and volumes alone, so a crash at any moment loses nothing; a
// volume is bound only after its directory is there, and goes only after its directory is gone; a node sees and decides
// nothing but its own volumes, and what it reports is held against the cluster's objects.
// Start reading at Storage.Run, then ordersFor.
package storage
