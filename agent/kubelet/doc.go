// Package kubelet runs upstream kubelet inside the agent process.
//
// Owns: its configuration for this host and this cluster.
// Does not know: how it reaches a server (a kubeconfig tells it), what runs its containers (a socket does).
// Promises: it talks to no API but the node's own endpoint; a host without systemd, with cgroup v1 or without the right
// to raise limits is used as it is.
// Start reading at Run.
package kubelet
