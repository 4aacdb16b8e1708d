// Package members takes servers out of the datastore's cluster when they leave Kubernetes'.
//
// Owns: which member goes with which Node.
// Does not know: how the datastore changes its members (datastore/etcd does), who deletes Nodes.
// Promises: whoever deletes a server's Node removes its member too, so that it counts no more towards the majority, as long as one server
// is there to hear of it; a member whose server is no node stays, and is told of when it does not answer; the last member stays.
// Start reading at Run.
package members
