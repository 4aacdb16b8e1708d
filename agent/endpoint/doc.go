// Package endpoint is the API server as the node's own components see it: an HTTP reverse proxy on the loopback.
//
// Owns: the listener on port 6444, telling its callers apart, finding a server for each request, and whether any is in reach.
// Does not know: what the requests are about, Kubernetes' types, how the list of servers is learned, what Offline answers.
// Promises: a caller that proved with a certificate of this node who it is reaches the server as that user; any other
// certificate is refused; a bearer token passes as it is; a request waits for a server that is just starting. When a
// server goes silent and another answers, what hangs on the silent one goes on at the other within three seconds; a
// request is sent a second time only when that cannot do anything twice. With an Offline, a request that no server takes
// goes there after ten seconds, and those after it at once, until a server is ready again.
// Start reading at Endpoint.Run.
package endpoint
