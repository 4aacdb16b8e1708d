package wire

import "net/netip"

// NodeUser begins the name of a node's user, as Kubernetes calls it; the node's name follows. NodeGroup is the group of all these users.
const (
	NodeUser  = "system:node:"
	NodeGroup = "system:nodes"
)

// APINames are the names and addresses by which pods ask the API: those of the Service "kubernetes", which has the first address of each
// range. A cluster that does not say its domain has the short names only.
func (c Cluster) APINames() (dns []string, ips []netip.Addr) {
	dns = []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	if c.ClusterDomain != "" {
		dns = append(dns, "kubernetes.default.svc."+c.ClusterDomain)
	}
	for _, cidr := range c.ServiceCIDR {
		ips = append(ips, cidr.Masked().Addr().Next())
	}
	return dns, ips
}
