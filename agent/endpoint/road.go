package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	// silence is how long a connection to a server may say nothing before it is asked whether it lives. It keeps routers on the way
	// from forgetting the connection; one that was forgotten, and silent servers, are mostly found sooner, see watch.
	silence = 90 * time.Second
	// verdictOnOne is how long one connection may take to answer.
	verdictOnOne = 15 * time.Second
)

// road is the way to a server for one user: connections that were opened with the user's certificate.
type road struct {
	certificate []byte // DER; none for callers without a certificate
	multiplexed *http.Transport
	upgraded    *http.Transport
}

// road gives the way for a user, "" for callers without a certificate. A renewed certificate means a new way; what is
// under way on the old one goes on.
func (u *upstream) road(user string) (*road, error) {
	certificate, err := u.certificate(user)
	if err != nil {
		return nil, err
	}
	var der []byte
	if certificate != nil {
		der = certificate.Certificate[0]
	}
	u.mu.Lock()
	old := u.roads[user]
	if old != nil && bytes.Equal(old.certificate, der) {
		u.mu.Unlock()
		return old, nil
	}
	renewed := u.newRoad(user, der)
	u.roads[user] = renewed
	u.mu.Unlock()
	if old != nil {
		old.closeIdle()
	}
	return renewed, nil
}

// certificate is this node's for a user, nil for callers without one.
func (u *upstream) certificate(user string) (*tls.Certificate, error) {
	if user == "" {
		return nil, nil
	}
	clients, err := u.id.Clients()
	if err != nil {
		return nil, err
	}
	certificate, ours := clients[user]
	if !ours || len(certificate.Certificate) == 0 {
		return nil, fmt.Errorf("this node has no certificate for %s any more", user)
	}
	return &certificate, nil
}

func (u *upstream) newRoad(user string, der []byte) *road {
	dial := func(protocols ...string) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, _, _ string) (net.Conn, error) { return u.dial(ctx, user, protocols) }
	}
	return &road{
		certificate: der,
		multiplexed: &http.Transport{DialTLSContext: dial("h2", "http/1.1"), ForceAttemptHTTP2: true, IdleConnTimeout: 90 * time.Second,
			HTTP2: &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: verdictOnOne}},
		upgraded: &http.Transport{DialTLSContext: dial("http/1.1"), IdleConnTimeout: 90 * time.Second},
	}
}

// dial opens an encrypted connection, with the newest authorities and certificate.
func (u *upstream) dial(ctx context.Context, user string, protocols []string) (net.Conn, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: u.id.ServerCA(), ServerName: u.name, NextProtos: protocols}
	certificate, err := u.certificate(user)
	if err != nil {
		return nil, err
	}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	raw, err := u.connect(ctx, user)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}

// RoundTrip sends requests that upgrade (exec, attach, port-forward) over HTTP/1.1, which HTTP/2 cannot carry.
func (r *road) RoundTrip(request *http.Request) (*http.Response, error) {
	if upgrades(request) {
		return r.upgraded.RoundTrip(request)
	}
	return r.multiplexed.RoundTrip(request)
}

func (r *road) closeIdle() {
	r.multiplexed.CloseIdleConnections()
	r.upgraded.CloseIdleConnections()
}

func upgrades(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }
