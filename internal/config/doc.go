// Package config is every setting of Skerry, said once.
//
// Owns: the settings with their names, defaults, help and checks; the four sources (defaults, files, SKERRY_*
// variables, flags) and their order; the paths below the data directory; docs/config.md.
// Does not know: what a setting causes, or any other room but fault.
// Promises: Load returns a checked value or every problem of every source at once, and changes nothing on the host;
// a Secret is never printed.
// Start reading at Server and Load.
package config
