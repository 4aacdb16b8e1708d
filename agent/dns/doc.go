// Package dns is the cluster's DNS as this node answers it: CoreDNS, in the process.
//
// Owns: the sockets that questions come in by and who may ask, CoreDNS' settings, the users' own settings in the
// ConfigMap coredns-custom, and which servers are asked for names outside of the cluster.
// Does not know: how questions reach the sockets (kube-proxy leads them there, to endpoints that the server makes), how
// the API server is reached.
// Promises: only pods and this node get an answer; what was learned from the cluster is answered on when no server is in
// reach; settings are replaced as a whole, between two questions, and those with a mistake change nothing; no resolver
// is asked that the host does not name; no file and no variable of the host gets into an answer.
// Start reading at Run.
package dns
