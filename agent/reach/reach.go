package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"

	"github.com/skerry-io/skerry/tunnel"
)

// Config is what the rule depends on.
type Config struct {
	Mode       string // the cluster's egress-selector-mode
	Node       string
	Addresses  []netip.Addr // of this node; the kubelet may listen there only
	Kubelet    uint16       // its port
	Kubeconfig string       // of the kubelet; read when pods are asked for
}

// The modes in which servers may reach pods.
const (
	modePod     = "pod"
	modeCluster = "cluster"
)

// Reach connects servers to this node.
type Reach struct {
	config Config
	pods   pods
	local  func() ([]netip.Addr, error) // all addresses of this machine
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// pods is what is known of this node's pods.
type pods interface {
	// ranges gives the addresses that pods of this node get.
	ranges(ctx context.Context) ([]netip.Prefix, error)
	// has says whether a pod of this node has an address.
	has(ctx context.Context, ip netip.Addr) (bool, error)
}

// New prepares the rule.
func New(c Config) *Reach {
	return &Reach{config: c, pods: &cluster{kubeconfig: c.Kubeconfig, node: c.Node}, local: localAddresses,
		dial: (&net.Dialer{}).DialContext}
}

// Dial connects to an address:port, when servers may reach it; else the error is tunnel.ErrForbidden.
func (r *Reach) Dial(ctx context.Context, to string) (net.Conn, error) {
	target, err := netip.ParseAddrPort(to) // an address: no server gets names resolved in the network around
	if err != nil {
		return nil, fmt.Errorf("%s: %w", to, tunnel.ErrForbidden)
	}
	target = netip.AddrPortFrom(target.Addr().Unmap(), target.Port())
	if target.Addr().IsLoopback() && target.Port() == r.config.Kubelet {
		return r.kubelet(ctx)
	}
	allowed, err := r.isPod(ctx, target.Addr())
	if err != nil {
		return nil, fmt.Errorf("ask the API whether %s is a pod of this node: %w", target.Addr(), err)
	}
	if !allowed {
		return nil, fmt.Errorf("%s: %w", to, tunnel.ErrForbidden)
	}
	return r.dial(ctx, "tcp", target.String())
}

// kubelet connects to the kubelet, wherever it listens.
func (r *Reach) kubelet(ctx context.Context) (net.Conn, error) {
	var errs []error
	for _, ip := range append([]netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}, r.config.Addresses...) {
		conn, err := r.dial(ctx, "tcp", net.JoinHostPort(ip.String(), strconv.Itoa(int(r.config.Kubelet))))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
		if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			break
		}
	}
	return nil, errs[0] // the others say the same of other addresses
}

// isPod says that an address is one of a pod of this node, as far as the mode lets servers reach pods.
func (r *Reach) isPod(ctx context.Context, ip netip.Addr) (bool, error) {
	if r.config.Mode != modePod && r.config.Mode != modeCluster || ip.IsLoopback() || ip.IsMulticast() || ip.IsUnspecified() || ip.Zone() != "" {
		return false, nil
	}
	own, err := r.local()
	if err != nil {
		return false, err
	}
	if !slices.Contains(own, ip) { // this machine has an address in the range of its pods
		ranges, err := r.pods.ranges(ctx)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(ranges, func(cidr netip.Prefix) bool { return cidr.Contains(ip) }) {
			return true, nil
		}
	}
	if r.config.Mode != modeCluster {
		return false, nil
	}
	return r.pods.has(ctx, ip)
}

func localAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var ips []netip.Addr
	for _, address := range all {
		if cidr, err := netip.ParsePrefix(address.String()); err == nil {
			ips = append(ips, cidr.Addr().Unmap())
		}
	}
	return ips, nil
}
