// Package ramtier keeps the values of short-lived keys (leases, events, masterleases) in memory, so that they never wear
// out flash.
//
// Owns: which keys are short-lived, how much they may take and what goes when it is too much, the checkpoint file.
// Does not know: the order of revisions, watches, where all other keys are.
// Promises: after an end in order everything is there again, with what is left of its time; after a crash nothing is. The
// checkpoint is read once, and then gone, so that an old one is never taken for a new one.
// Start reading at Tier.
package ramtier
