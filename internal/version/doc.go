// Package version says which Skerry this is.
//
// Owns: the two strings that scripts/build stamps in, and since when there are releases. Does not know: anything else.
// Promises: a binary built without the script still answers, with "dev".
// Start reading at Number.
package version
