// Package traffic counts the bytes that connections to other machines carry.
//
// Owns: the counters, one for each peer and way, and the connections that feed them.
// Does not know: who the peers are, what the bytes mean, how the counts are shown.
// Promises: a count never goes back while the process lives, also when connections end and come again; what is counted is what a
// socket took and gave, encryption included; counting costs an addition to each read and write.
// Start reading at Meter, then Conn.
package traffic
