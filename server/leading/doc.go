// Package leading has one server of a cluster do what only one may do at a time: controllers, scheduler, and what writes objects for
// all.
//
// Owns: the lease that says which server leads, when it is taken, renewed and given back, and that the work stops with it.
// Does not know: what the work is; the group of services does.
// Promises: without other servers there is no lease and nothing waits for one; what Only was given works on the server that holds the
// lease and nowhere else, but for a server that was frozen and has not noticed; it has ended before the lease is given back; a
// server that is stopped in order is followed at once, one that was lost within a quarter of a minute or little more.
// Start reading at Lead.Run, then Lead.Only.
package leading
