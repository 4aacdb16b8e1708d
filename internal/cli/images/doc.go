// Package images is `skerry images`.
//
// Owns: the list of the images on this node, and how a person reads it. Does not know: how images get there (the room
// agent/images does, and remembers it).
// Promises: it asks the container runtime alone, so it works without a server; it changes nothing.
// Start reading at List.
package images
