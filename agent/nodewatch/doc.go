// Package nodewatch follows this node's own object in the API.
//
// Owns: watching one Node and starting over when a watch ends. Does not know: why someone waits.
// Promises: Until returns only with a Node that satisfies the condition, or when its context ends; Once acts when the
// Node exists. Start reading at Until.
package nodewatch
