// Package engine is a Store over two places that keep records: a disk, and memory for what does not live long.
//
// Owns: the index of keys, the one order of revisions, who may write next, leases, compaction, what is told to watches.
// Does not know: SQL, files, which keys are kept where, etcd's protocol.
// Promises: a write is answered when the disk has it, unless an interval was set; many writes share one commit. Reads see
// answered writes only, whole and at one revision. What a compaction takes was told or read before. Nothing runs while
// nothing changes.
// Start reading at Open, then Engine.commit.
package engine
