// Package clock keeps this machine's time from being earlier than what the node knew already.
//
// Owns: the last known time on disk, and setting the machine's clock forward to it. Does not know: who tells the time, NTP,
// what the time is for.
// Promises: a clock that somebody keeps right is never touched; it is only ever set forward, never further than to the last
// known time or to what a server says, and not at all when the user forbids it; a file that is damaged or from the future
// sets nothing; an idle node notes the time once an hour.
// Start reading at Clock.Begin.
package clock
