package wire

// How server and agents serve Services of type LoadBalancer. All of it stands on the Service.
const (
	ComponentServiceLB = "servicelb" // its name in Cluster.Disabled

	// LabelServiceLB marks the Services that a server gives addresses to. It says which: ServiceLBNodes or ServiceLBPool.
	LabelServiceLB = "skerry.io/servicelb"
	ServiceLBNodes = "nodes" // the addresses of nodes
	ServiceLBPool  = "pool"  // an address of its own, which one of the announcers has

	// AnnotationAnnouncers names the nodes that may announce the addresses in a Service's status, separated by commas. Nodes
	// agree among themselves which one does; where all else is equal the first one.
	AnnotationAnnouncers = "skerry.io/servicelb-announcers"
)
