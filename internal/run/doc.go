// Package run starts, watches and stops the long-running parts of a node.
//
// Owns: the Service contract, the Group that starts services in parallel as their needs allow and stops them in
// reverse, and the State snapshot that status displays, health endpoints and sd_notify read.
// Does not know: what any service does, Kubernetes, the configuration.
// Promises: an unknown need, a double name or a cycle is an error before anything starts; a service's Run has
// returned before Group.Run does, or the service is named in the error; a panic becomes that service's error.
// Start reading at Service, then Group.Run.
package run
