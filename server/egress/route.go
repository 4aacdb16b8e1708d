package egress

import (
	"net"
	"net/netip"
	"slices"
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
	kubelets := slices.DeleteFunc(d.book.withAddress(ip), func(e entry) bool { return e.kubelet != port })
	if len(kubelets) > 0 {
		one, err := d.choose(ip, kubelets)
		return d.toKubelet(one), err
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

// choose finds the node that is meant by an address of several: one of them may have been gone for long, and another
// one has its address now. Behind different routers two can have the same for good.
func (d *Dialer) choose(ip netip.Addr, kubelets []entry) (entry, error) {
	here := slices.DeleteFunc(slices.Clone(kubelets), func(e entry) bool { return e.name != d.self && !d.tunnels.Has(e.name) })
	switch len(here) {
	case 0:
		return kubelets[0], nil
	case 1:
		return here[0], nil
	}
	return entry{}, fault.New("%s is the address of the nodes %s and %s", ip, here[0].name, here[1].name).
		Fix("give one of them another node-ip, or let the API server ask for nodes by name: remove kubelet-preferred-address-types from kube-apiserver-arg")
}

func join(host string, port uint16) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }
