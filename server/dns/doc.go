// Package dns is what the API server holds for the cluster's DNS, which every node answers by itself.
//
// Owns: the Service kube-dns, its EndpointSlices (one per node and family), and the right of nodes to watch what they
// answer from.
// Does not know: how a node answers.
// Promises: a node is an endpoint as long as its Node object is there, so that what its pods ask stays on it; what is
// changed or deleted comes back; an object of that name which somebody else made is left alone, and that is said;
// without the component nothing of it stays.
// Start reading at Run.
package dns
