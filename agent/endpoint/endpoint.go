package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/serve"
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
	Rows    *run.Rows // is told when no server is in reach
}

// Offline answers for the servers while none is in reach.
type Offline interface {
	// Holds says that it has something to answer with.
	Holds() bool
	// Around is the way of all requests: to the servers while they are in reach.
	Around(servers Reach) http.RoundTripper
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
}

// New prepares an endpoint; id is first used in Run.
func New(c Config, id Identity, log *slog.Logger) *Endpoint { return &Endpoint{c, id, log, patience} }

// Run serves until ctx ends.
func (e *Endpoint) Run(ctx context.Context, ready func()) error {
	if _, err := e.id.Serving(); err != nil {
		return err
	}
	upstream, err := newPool(e.id, e.config.Servers, e.patience, e.log)
	if err != nil {
		return err
	}
	var way http.RoundTripper = upstream
	if e.config.Offline != nil {
		upstream.meanwhile = newAbsence(e.config.Offline.Holds(), e.config.Rows, e.log)
		way = e.config.Offline.Around(upstream)
	}
	listener, err := e.listen(ctx)
	if err != nil {
		return err
	}
	watching, stopWatching := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		upstream.watch(watching)
	}()
	defer func() {
		stopWatching()
		<-watched
		upstream.close()
	}()
	requests, cancelRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelRequests() // ends what was upgraded, which the server no longer knows
	srv := &http.Server{
		Handler:           e.handler(way),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: headerPatience,
		IdleTimeout:       idlePatience,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
		TLSConfig:         e.trust(),
	}
	return serve.TLS(ctx, srv, listener, stopPatience, ready)
}

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
			MinVersion:   tls.VersionTLS12,
			NextProtos:   []string{"h2", "http/1.1"},
			Certificates: []tls.Certificate{serving},
			ClientAuth:   tls.VerifyClientCertIfGiven,
			ClientCAs:    e.id.ClientCA(),
		}, nil
	}
	// The server only looks whether there is a way to a certificate; GetConfigForClient comes first.
	certificate := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		serving, err := e.id.Serving()
		return &serving, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: config, GetCertificate: certificate}
}

func (e *Endpoint) listen(ctx context.Context) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", e.config.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fault.New("listen on %s", e.config.Address).Because(err).
			Fix("another program holds the port; stop it, or set lb-server-port")
	}
	return listener, err
}
