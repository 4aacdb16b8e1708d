package agent

import (
	"context"
	"crypto/tls"
	"strconv"
	"sync/atomic"

	"github.com/skerry-io/skerry/agent/reach"
	"github.com/skerry-io/skerry/internal/component"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/tunnel"
)

// tunnelsOff is the mode in which servers reach nodes by themselves.
const tunnelsOff = "disabled"

// tunnel lets the servers reach this node's kubelet, and what else the cluster's mode says.
func (n *Node) tunnel(ctx context.Context, ready func()) error {
	mode := n.id.Cluster().Tunnel
	if mode == "" || mode == tunnelsOff {
		return idle(ctx, ready)
	}
	port, err := kubeletPortOf(n.config.KubeletArg)
	if err != nil {
		return err
	}
	client := tunnel.NewClient(tunnel.Config{
		Servers: n.servers,
		TLS: func() (*tls.Config, error) {
			return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: n.id.ServerCA(), Certificates: []tls.Certificate{n.id.Client()}}, nil
		},
		Dial:    reach.New(reach.Config{Mode: mode, Node: n.id.Name(), Addresses: n.ips, Kubelet: port, Kubeconfig: n.id.KubeletConfig()}).Dial,
		Traffic: n.traffic,
		Log:     n.log,
	})
	n.line.tunnels.Store(client)
	return client.Run(ctx, ready)
}

// line is the node's tunnels for those who say words by them; while there are none, nobody hears.
type line struct{ tunnels atomic.Pointer[tunnel.Client] }

// Say says a word to a server.
func (l *line) Say(ctx context.Context, server string, word []byte) ([]byte, error) {
	if c := l.tunnels.Load(); c != nil {
		return c.Say(ctx, server, word)
	}
	return nil, tunnel.ErrNoTunnel
}

// hurry says that a server is in reach again.
func (l *line) hurry() {
	if c := l.tunnels.Load(); c != nil {
		c.Hurry()
	}
}

// kubeletPortOf is where the kubelet listens with these extra flags.
func kubeletPortOf(flags []string) (uint16, error) {
	text, set := component.Flags{}.With(flags)["port"]
	if !set {
		return kubeletPort, nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fault.New("read the kubelet's port").Because(err).Fix("correct the entry port under kubelet-arg")
	}
	return uint16(port), nil
}
