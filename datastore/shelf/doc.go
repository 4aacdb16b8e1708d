// Package shelf is where backups lie: a directory, or a bucket of S3-compatible storage.
//
// Owns: the names of backups, how they are put down, found, fetched and removed, which of them a retention removes.
// Does not know: what is in a backup, when one is made.
// Promises: a backup has its name when it is there as a whole; a retention never removes the newest one, nor what no schedule made;
// credentials stand in no error.
// Start reading at Shelf, then At.
package shelf
