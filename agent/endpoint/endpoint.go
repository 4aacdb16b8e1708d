package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/serve"
	"github.com/skerry-io/skerry/internal/traffic"
)

// Identity is what the endpoint needs of the node's certificates. It is asked for each connection and request, so that
// what was renewed is used at once.
type Identity interface {
	Serving() (tls.Certificate, error)
	Clients() (map[string]tls.Certificate, error) // by user name
	ServerCA() *x509.CertPool
	ClientCA() *x509.CertPool
}

// Servers is the list of API servers, the preferred one first.
type Servers interface {
	URLs() []string
	// Changed closes when URLs gives another list; it is asked for before URLs.
	Changed() <-chan struct{}
}

// Config says where the endpoint listens and where requests go.
type Config struct {
	Address string // loopback host:port
	Servers Servers
	Offline Offline   // answers while no server is in reach; nil for nobody
	Pods    Pods      // where it answers pods; nothing without Offline
	Rows    *run.Rows // is told when no server is in reach
	// Shorten is put around the way of requests to the servers, below Offline; nil for nothing.
	Shorten func(Upstream) http.RoundTripper
	// Back is told when a server is in reach that was not; nil for nobody.
	Back    func()
	Traffic *traffic.Meter // counts what goes to other machines; nil for nobody
	// Counts says that servers will take the node's certificates. While they do not, no server counts as in reach that was not
	// before; nil where they always do.
	Counts func() bool
}

// Offline answers for the servers while none is in reach.
type Offline interface {
	// Holds says that it has something to answer with.
	Holds() bool
	// Around is the way of all requests: to the servers while they are in reach.
	Around(servers Reach) http.RoundTripper
}

// Upstream is the way to the servers as it is.
type Upstream interface {
	http.RoundTripper
	// InUse is the URL of the server that answered last; empty when it is on this machine, or did not answer since.
	InUse() string
	// Doubt says that a server has left somebody without an answer: it is asked whether it is there, and given up when it is not.
	Doubt(server string)
}

// Reach is the way to the servers.
type Reach interface {
	http.RoundTripper
	// Away says since when no server is in reach; back closes when one is again.
	Away() (since time.Time, back <-chan struct{}, away bool)
}

const (
	// patience is how long a request waits for a server that refuses connections because it is starting.
	patience = 15 * time.Second
	// stopPatience is how long requests in flight may delay the end.
	stopPatience = 500 * time.Millisecond
	// headerPatience is how long a caller may take for the TLS handshake, and for the header of a request.
	headerPatience = 10 * time.Second
	// idlePatience is how long a caller's connection may carry no request.
	idlePatience = 2 * time.Minute
	// maxHeader bounds a request's header, in bytes, as the server does.
	maxHeader = 64 << 10
)

// Endpoint is the reverse proxy.
type Endpoint struct {
	config   Config
	id       Identity
	log      *slog.Logger
	patience time.Duration
	linger   time.Duration
}

// New prepares an endpoint; id is first used in Run.
func New(c Config, id Identity, log *slog.Logger) *Endpoint {
	return &Endpoint{c, id, log, patience, linger}
}

// Run serves until ctx ends.
func (e *Endpoint) Run(ctx context.Context, ready func()) error {
	if _, err := e.id.Serving(); err != nil {
		return err
	}
	upstream, err := newPool(e.id, e.config.Servers, e.patience, e.config.Traffic, e.log)
	if err != nil {
		return err
	}
	upstream.back = e.config.Back
	way := shortened{upstream, upstream}
	if e.config.Shorten != nil {
		way.RoundTripper = e.config.Shorten(upstream)
	}
	var all http.RoundTripper = way
	if e.config.Offline != nil {
		upstream.meanwhile = newAbsence(e.config.Offline.Holds(), e.config.Rows, e.log)
		upstream.counts = e.config.Counts
		all = e.config.Offline.Around(way)
	}
	listener, err := e.listen(ctx)
	if err != nil {
		return err
	}
	requests, cancelRequests := context.WithCancel(context.WithoutCancel(ctx))
	handler := e.handler(all)
	watching, stopWatching := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { upstream.watch(watching) })
	if upstream.meanwhile != nil {
		beside.Go(func() { e.pods(watching, requests, upstream.meanwhile, handler) })
	}
	defer func() {
		cancelRequests() // ends what was upgraded, which the server no longer knows
		stopWatching()
		beside.Wait()
		upstream.close()
	}()
	return serve.TLS(ctx, e.server(requests, handler, e.trust()), listener, stopPatience, ready)
}

// server takes requests that end with a context.
func (e *Endpoint) server(requests context.Context, handler http.Handler, trust *tls.Config) *http.Server {
	return &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: headerPatience,
		IdleTimeout:       idlePatience,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
		TLSConfig:         trust,
	}
}

// shortened is the way to the servers with Shorten in it.
type shortened struct {
	http.RoundTripper
	pool *pool
}

// Away says since when no server is in reach.
func (s shortened) Away() (since time.Time, back <-chan struct{}, away bool) { return s.pool.Away() }

// handler is the way of a request: who asks, then a server that answers, or Offline.
func (e *Endpoint) handler(upstream http.RoundTripper) http.Handler {
	return callers{id: e.id, next: forward(upstream, e.log)}
}

// trust takes the newest certificates for each handshake.
func (e *Endpoint) trust() *tls.Config {
	config := func(*tls.ClientHelloInfo) (*tls.Config, error) {
		serving, err := e.id.Serving()
		if err != nil {
			return nil, err
		}
		return &tls.Config{
			MinVersion:       tls.VersionTLS12,
			NextProtos:       []string{"h2", "http/1.1"},
			Certificates:     []tls.Certificate{serving},
			ClientAuth:       tls.RequestClientCert,
			ClientCAs:        e.id.ClientCA(), // which it tells
			VerifyConnection: e.verify,
		}, nil
	}
	// The server only looks whether there is a way to a certificate; GetConfigForClient comes first.
	certificate := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		serving, err := e.id.Serving()
		return &serving, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: config, GetCertificate: certificate}
}

// verify wants of a caller's certificate, if he shows one, that the cluster has issued it. Those of this node's own key count as
// long as there are no newer ones: whoever has the key is this node, and alone nobody can renew them.
func (e *Endpoint) verify(conn tls.ConnectionState) error {
	if len(conn.PeerCertificates) == 0 {
		return nil
	}
	serving, err := e.id.Serving()
	if err != nil {
		return err
	}
	shown, at := conn.PeerCertificates[0], time.Now()
	if ownKey(shown, serving.Leaf) && at.After(shown.NotAfter) {
		at = shown.NotAfter
	}
	_, err = shown.Verify(x509.VerifyOptions{Roots: e.id.ClientCA(), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: conn.PeerCertificates, Err: err}
	}
	return nil
}

// ownKey says that two certificates are for one key.
func ownKey(a, b *x509.Certificate) bool {
	return b != nil && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

func (e *Endpoint) listen(ctx context.Context) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", e.config.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fault.New("listen on %s", e.config.Address).Because(err).
			Fix("another program holds the port; stop it, or set lb-server-port")
	}
	return listener, err
}
