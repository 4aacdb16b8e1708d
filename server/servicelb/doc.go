// Package servicelb gives Services of type LoadBalancer their addresses: those of nodes, or one each from a pool.
//
// Owns: status.loadBalancer of Services without a class; which node may announce an address of the pool; who gets a port or
// an address that two want. Does not know: how packets reach a pod, which is kube-proxy's; how an address is announced.
// Promises: a Service gets all of its ports or nothing and an Event that names who has them; who has a port or an address
// keeps it; ports that nodes need themselves are given to nobody; without such Services nothing but their watch, which is
// silent, runs; what a write has made, Leave takes back.
// Start reading at Run, then plan.
package servicelb
