// Package tunnel is the way from a server to its nodes: each node keeps one websocket to each server, and the server
// opens connections through it, as many as it likes. Beside them, a node may say a word to the server, of some bytes.
//
// Owns: the websocket's two ends, the connections inside it, words and their answers, noticing a dead one, and coming back
// after a loss.
// Does not know: who a node is (its caller has seen the certificate), which addresses go through it (server/egress),
// what a node lets itself be asked for (agent/reach), what words mean, or anything of Kubernetes.
// Promises: a dead link is noticed on both sides within 20 s, by who says a word within three; a slow reader of one
// connection delays no other; words count no longer than the node's certificate; an end that knows no words is not troubled
// by them; nodes that lose their server come back spread over time; after the end of Run or Close no goroutine is left. A
// node cannot open a connection towards the server.
// Start reading at Server.Dial, Client.Run and Client.Say.
package tunnel
