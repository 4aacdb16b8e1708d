// Package crowd is many agents in one process, as far as a server sees them: each joins with a key of its own and keeps a
// tunnel. Nothing runs on them.
//
// Owns: the agents' keys, certificates and tunnels, in memory.
// Does not know: Kubernetes, hosts, what is measured with it.
// Promises: Main returns only when it cannot join; tunnels come back as those of real agents do.
// Start reading at Main.
package crowd
