package endpoint

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/skerry-io/skerry/internal/serve"
)

// Pods is where this node's pods are answered while no server is in reach. They show a token, and no certificate.
type Pods struct {
	At   []netip.AddrPort // none for nowhere
	From []netip.Prefix   // the pods' addresses; nobody else but this machine is let in
	// Certificate is shown to them.
	Certificate func() tls.Certificate
}

const (
	// linger is how long pods are answered once a server is back: as long as kube-proxy may take to hear where it is.
	linger = 5 * time.Second
	// reopen is the pause after a listener that did not work: an IPv6 address does not count in the first seconds after the boot.
	reopen = 3 * time.Second
)

// pods answers them whenever no server is in reach, until ctx ends.
func (e *Endpoint) pods(ctx, requests context.Context, a *absence, handler http.Handler) {
	if len(e.config.Pods.At) == 0 {
		return
	}
	for back := a.begun(ctx); back != nil; back = a.begun(ctx) {
		open, shut := context.WithCancel(ctx)
		var doors sync.WaitGroup
		for _, at := range e.config.Pods.At {
			doors.Go(func() { e.door(open, requests, at, handler) })
		}
		for ; back != nil; back = a.now() { // it may be away again by then
			select {
			case <-back:
				wait(ctx, e.linger)
			case <-ctx.Done():
			}
			if ctx.Err() != nil {
				break
			}
		}
		shut()
		doors.Wait()
	}
}

// door answers at one address until ctx ends.
func (e *Endpoint) door(ctx, requests context.Context, at netip.AddrPort, handler http.Handler) {
	shown := e.config.Pods.Certificate()
	trust := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{shown}}
	for told := false; ctx.Err() == nil; told = true {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at.String())
		if err == nil {
			err = serve.TLS(ctx, e.server(requests, handler, trust), neighbours{listener, e.config.Pods.From}, stopPatience, func() {})
		}
		if err != nil && ctx.Err() == nil && !told {
			e.log.Warn("pods that ask the API are not answered while no server is in reach", "at", at, "err", err)
		}
		wait(ctx, reopen)
	}
}

// wait returns after a while, or when ctx ends.
func wait(ctx context.Context, while time.Duration) {
	select {
	case <-time.After(while):
	case <-ctx.Done():
	}
}

// neighbours takes connections of pods and of this machine. Strangers are not told that someone is here.
type neighbours struct {
	net.Listener
	pods []netip.Prefix
}

// Accept gives the next one.
func (l neighbours) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.may(conn.RemoteAddr()) {
			return conn, err
		}
		_ = conn.Close() // it has said nothing yet
	}
}

func (l neighbours) may(from net.Addr) bool {
	tcp, ok := from.(*net.TCPAddr)
	if !ok {
		return false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	return ip.IsLoopback() || slices.ContainsFunc(l.pods, func(p netip.Prefix) bool { return p.Contains(ip) }) || isLocal(ip)
}

// isLocal says that an address is this machine's. kube-proxy leads its programs and those of its network here by any of them.
func isLocal(ip netip.Addr) bool {
	list, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(list, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == ip
	})
}
