package wire

// The cluster's DNS, as the server offers it and the nodes answer it.
const (
	ComponentDNS = "dns"            // its name in Cluster.Disabled
	DNSService   = "kube-dns"       // in the namespace kube-system
	DNSConfigMap = "coredns-custom" // there too: the users' own settings
	// DNSPort is where every node takes questions, at its own addresses; kube-proxy leads there.
	DNSPort = 6445
)
