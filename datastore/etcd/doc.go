// Package etcd runs a member of an etcd cluster in the process: the datastore of several servers.
//
// Owns: the member's directory, its life in the cluster (joining as a learner, promotion, replacement of what it was before, removal),
// finding damage in it and making it anew out of what the others have, the settings that make etcd gentle to flash, defragmentation, a cluster of one out of what is left of a greater one, and the
// form in which records are written into a new directory.
// Does not know: who issues certificates, how servers find each other, Kubernetes.
// Promises: a write that was answered is on the disks of a majority; a member that cannot serve says why, and what to do; nothing here
// takes the majority from a cluster; damage of one member, down to a single bit of a value, is seen at its start or after the next compaction, and heals
// without a hand where a majority of the others is of one mind, or, of a member that is alone, where a snapshot is whole: with what was lost told.
// Start reading at Start, then Member.Run and join.
package etcd
