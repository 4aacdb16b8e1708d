// Package charts fetches the archives of Helm charts.
//
// Owns: where a chart can be named to be (inside the object, a file of the server's static folder, a URL, a repository over
// http, an OCI registry), the credentials and authorities for each, and the limits on what is read.
// Does not know: the objects that name charts, what is in an archive, releases.
// Promises: nothing is kept and nothing is written to disk; no credentials go to a host they were not given for; each error
// says where was looked; a fetch ends with its context, or after some minutes.
// Start reading at Fetcher.Fetch.
package charts
