// Package tunnel is the way from a server to its nodes: each node keeps one websocket to each server, and the server
// opens connections through it, as many as it likes.
//
// Owns: the websocket's two ends, the connections inside it, noticing a dead one, and coming back after a loss.
// Does not know: who a node is (its caller has seen the certificate), which addresses go through it (server/egress),
// what a node lets itself be asked for (agent/reach), or anything of Kubernetes.
// Promises: a dead link is noticed on both sides within 20 s; a slow reader of one connection delays no other; nodes
// that lose their server come back spread over time; after the end of Run or Close no goroutine is left. A node cannot
// open a connection towards the server.
// Start reading at Server.Dial and Client.Run.
package tunnel
