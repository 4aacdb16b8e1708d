// Package runtimeclasses offers the container runtimes that nodes found as RuntimeClasses.
//
// Owns: one RuntimeClass per runtime handler that some node reports, named like the handler.
// Does not know: how a node finds its runtimes.
// Promises: a class that a user made or changed is left as it is; a class stays when its runtime goes, as pods may name
// it.
// Start reading at Run.
package runtimeclasses
