// Package backups makes backups of the cluster by a schedule.
//
// Owns: when one is due, what is tried again and when, which old ones go, what is remembered of the last ones.
// Does not know: what is in a backup, where it lies, which server of several makes them.
// Promises: a backup that came due while the server was off is made soon after its start; old ones go only when a new one is there; a
// failure is told and tried again; between two backups nothing runs but a timer.
// Start reading at Keeper.Run.
package backups
