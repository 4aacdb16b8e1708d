package egress

import (
	"net"
	"net/netip"
	"strconv"

	"github.com/skerry-io/skerry/internal/fault"
)

// way is how a connection is made: to an address, through the tunnel of a node or, without one, directly.
type way struct {
	node   string
	to     string
	orElse string // to dial directly when to refuses; empty for none
}

// route finds the way to host:port.
func (d *Dialer) route(host string, port uint16) (way, error) {
	directly := way{to: join(host, port)}
	if d.mode == Disabled {
		return directly, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return d.routeIP(ip.Unmap(), port)
	}
	found, known := d.book.node(host)
	switch {
	case known && port == found.kubelet:
		return d.toKubelet(found), nil
	case known && len(found.addresses) > 0: // no resolver needs to know the names of nodes
		directly.to = join(found.addresses[0].String(), port)
		if d.mode == Cluster && host != d.self {
			directly.node = host
		}
	case !known && d.tunnels.Has(host): // it registers at this moment
		return d.toKubelet(entry{name: host, kubelet: port}), nil
	}
	return directly, nil
}

// toKubelet is the way to a node's kubelet, which the node finds on its own loopback.
func (d *Dialer) toKubelet(n entry) way {
	w := way{node: n.name, to: join("127.0.0.1", n.kubelet)}
	if n.name == d.self {
		w.node = ""
		if len(n.addresses) > 0 {
			w.orElse = join(n.addresses[0].String(), n.kubelet) // a kubelet can be told to listen there only
		}
	}
	return w
}

// routeIP finds the way to an address.
func (d *Dialer) routeIP(ip netip.Addr, port uint16) (way, error) {
	w := way{to: join(ip.String(), port)}
	owners := d.book.withAddress(ip)
	var kubelets []entry
	for _, owner := range owners {
		if owner.kubelet == port {
			kubelets = append(kubelets, owner)
		}
	}
	switch {
	case len(kubelets) == 1:
		return d.toKubelet(kubelets[0]), nil
	case len(kubelets) > 1:
		return way{}, fault.New("%s is the address of the nodes %s and %s", ip, kubelets[0].name, kubelets[1].name).
			Fix("let the API server ask for nodes by name: remove kubelet-preferred-address-types from kube-apiserver-arg")
	}
	if d.CoversPods() {
		w.node = d.book.withPodRange(ip)
	}
	if d.mode == Cluster && w.node == "" {
		w.node = d.book.withPod(ip)
	}
	if w.node == d.self {
		w.node = ""
	}
	return w, nil
}

func join(host string, port uint16) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }
