// Package ask makes one request of a server's own routes.
//
// Owns: the limits of such a call, the token's secret in it, that no redirect is followed.
// Does not know: what is asked, what an answer means, whom to trust.
// Promises: a call ends within 20 seconds, an answer has no more than a megabyte; a secret goes to the URL that was named and
// nowhere else.
// Start reading at Server.
package ask
