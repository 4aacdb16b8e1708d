// Package containerd runs upstream containerd inside the agent process.
//
// Owns: which of its plugins are linked in, its configuration, and finding other OCI runtimes on the host.
// Does not know: images, pods, the cluster.
// Promises: it never touches the paths of another containerd on the machine; pods live in shims and outlast the
// process; ready means that the CRI answers.
// Start reading at Daemon.Run.
package containerd
