package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// bookPatience is how long a connection waits for the list of nodes after a start.
	bookPatience = 5 * time.Second
	// dialPatience bounds a direct connection.
	dialPatience = 30 * time.Second
)

// Tunnels reach nodes.
type Tunnels interface {
	// Dial connects to an address as the node understands it.
	Dial(ctx context.Context, node, to string) (net.Conn, error)
	// Has says whether a node has a tunnel now.
	Has(node string) bool
}

// Mode is how much goes through the tunnels: one of the settings of egress-selector-mode.
type Mode string

// The modes; each covers what the one before does.
const (
	Disabled Mode = "disabled" // nothing
	Agent    Mode = "agent"    // kubelets
	Pod      Mode = "pod"      // and the addresses in the pod ranges of nodes
	Cluster  Mode = "cluster"  // and the addresses of all other pods, for example on the host's network
)

// Dialer makes the API server's connections.
type Dialer struct {
	mode    Mode
	self    string
	tunnels Tunnels
	book    *book
	direct  func(ctx context.Context, network, address string) (net.Conn, error)
}

// New prepares a dialer. self is the node in this process, empty when there is none: its kubelet is on the loopback.
func New(mode Mode, self string, tunnels Tunnels) *Dialer {
	return &Dialer{mode: mode, self: self, tunnels: tunnels, book: newBook(),
		direct: (&net.Dialer{Timeout: dialPatience, KeepAlive: 30 * time.Second}).DialContext}
}

// CoversPods says that pods are reached where the network between nodes does not lead.
func (d *Dialer) CoversPods() bool { return d.mode == Pod || d.mode == Cluster }

// Run keeps the list of nodes, and of pods where the mode asks for it, until ctx ends. It is ready at once: a connection
// that needs the list waits for it.
func (d *Dialer) Run(ctx context.Context, client kubernetes.Interface, nodes cache.SharedIndexInformer, ready func()) error {
	ready()
	return d.book.run(ctx, client, nodes, d.mode == Cluster)
}

// Dial connects to host:port, where host may be the name of a node.
func (d *Dialer) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := split(address)
	if err != nil {
		return nil, err
	}
	d.awaitBook(ctx, host, port)
	w, err := d.route(host, port)
	switch {
	case err != nil:
		return nil, err
	case w.node != "":
		return d.tunnels.Dial(ctx, w.node, w.to)
	}
	conn, err := d.direct(ctx, network, w.to)
	if err != nil && w.orElse != "" && errors.Is(err, syscall.ECONNREFUSED) {
		return d.direct(ctx, network, w.orElse)
	}
	return conn, err
}

func split(address string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fault.New("connect to %s", address).Because(err)
	}
	return host, uint16(number), nil
}

// awaitBook waits for the list of nodes, where the way depends on it.
func (d *Dialer) awaitBook(ctx context.Context, host string, port uint16) {
	if _, err := netip.ParseAddr(host); err == nil && d.mode == Agent && port != kubeletPort {
		return // almost certainly a Service
	}
	late := time.NewTimer(bookPatience)
	defer late.Stop()
	select {
	case <-d.book.complete:
	case <-late.C:
	case <-ctx.Done():
	}
}
