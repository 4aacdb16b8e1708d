// Package wear counts what a datastore writes to its disk, day by day: flash wears out by it.
//
// Owns: the count of the last thirty days, and the file that keeps it over restarts. Does not know: who writes, and where.
// Promises: counting costs no write of its own: the file is written with what is written anyway, so a power cut may lose what was counted
// since; a file that is damaged counts as none.
// Start reading at Meter.
package wear
