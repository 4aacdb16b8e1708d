// Package endpoint is the API server as the node's own components see it: an HTTP reverse proxy on the loopback.
//
// Owns: the listeners on port 6444, that for pods included, telling their callers apart, finding a server for each request, and whether any is in reach.
// Does not know: what the requests are about, Kubernetes' types, how the list of servers is learned, what Shorten and Offline do.
// Promises: a caller that proved with a certificate of this node who it is reaches the server as that user; any other
// certificate is refused; a bearer token passes as it is; a request waits for a server that is just starting. When a
// server goes silent and another answers, a request goes on at the other within three seconds, and what else hangs on the silent
// one with it; a request is sent a second time only when that cannot do anything twice. While nobody asks for anything, nothing
// is said to servers on other machines but one ping of a connection in a minute and a half. With an Offline, a request that no
// server takes goes there after ten seconds, and those after it at once, until a server is ready again; for so long, and some seconds, pods and nobody
// else can ask at the node's own addresses, with a token and as no user of the node.
// Start reading at Endpoint.Run.
package endpoint
