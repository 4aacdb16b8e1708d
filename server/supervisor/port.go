package supervisor

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/http2"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/serve"
	"github.com/skerry-io/skerry/internal/traffic"
	"github.com/skerry-io/skerry/internal/wire"
)

const (
	// patience is how long a request waits for an API server that is still starting.
	patience = 15 * time.Second
	// stopPatience is how long requests in flight may delay the end.
	stopPatience = time.Second
	// maxHeader bounds a request's header, in bytes, and headerPatience how long it may take to arrive, with the handshake.
	maxHeader, headerPatience = 64 << 10, 10 * time.Second
	// anonymousPatience is how long the body may take of a request that says nothing about who makes it.
	anonymousPatience = 30 * time.Second
	// keepAlive is how long a connection may be idle until the kernel asks whether it lives. Nodes ask before.
	keepAlive = 2 * time.Minute
)

// Port is the server's one listener.
type Port struct {
	address string
	serving func() *tls.Certificate
	own     http.Handler
	log     *slog.Logger

	mu    sync.Mutex // guards named
	named map[string]*tls.Certificate

	stalled func() bool // nil, or says that the API server could answer nothing true; set before Run

	api     http.Handler  // set before apiSet closes
	apiSet  chan struct{} // closed by SetAPI
	setOnce sync.Once
}

// NewPort prepares the listener on address. serving gives its certificate, for each connection; own answers the routes
// under wire.PathPrefix.
func NewPort(address string, serving func() *tls.Certificate, own http.Handler, log *slog.Logger) *Port {
	return &Port{address: address, serving: serving, own: own, log: log,
		named: map[string]*tls.Certificate{}, apiSet: make(chan struct{})}
}

// Stalled has the port turn clients away while is says that the datastore has been out of reach for a while: they have other servers
// to ask. It is called before Run.
func (p *Port) Stalled(is func() bool) { p.stalled = is }

// SetAPI gives the port the API server's handler; requests that waited go on. loopback is the certificate by which the
// API server knows itself when it calls itself by name.
func (p *Port) SetAPI(api http.Handler, name string, loopback *tls.Certificate) {
	p.setOnce.Do(func() {
		p.mu.Lock()
		p.named[name] = loopback
		p.mu.Unlock()
		p.api = api
		close(p.apiSet)
	})
}

// Run listens and serves until ctx ends.
func (p *Port) Run(ctx context.Context, ready func()) error {
	listener, err := (&net.ListenConfig{KeepAlive: keepAlive}).Listen(ctx, "tcp", p.address)
	if err != nil {
		return portFault(p.address, err)
	}
	srv := &http.Server{
		Handler:           p,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: headerPatience,
		IdleTimeout:       90 * time.Second,
		ConnState:         newCrowd().state,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug), // every scanner's failed handshake
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS12,
			NextProtos:     []string{"h2", "http/1.1"},
			ClientAuth:     tls.RequestClientCert, // verified by whoever answers the request
			GetCertificate: p.certificate,
		},
	}
	// The limits of Kubernetes' own listener: small frames keep many idle watches cheap.
	if err := http2.ConfigureServer(srv, &http2.Server{MaxConcurrentStreams: 250, MaxUploadBufferPerStream: 256 << 10,
		MaxUploadBufferPerConnection: 25600 << 10, IdleTimeout: 90 * time.Second}); err != nil {
		return errors.Join(err, listener.Close())
	}
	return serve.TLS(ctx, srv, traffic.Listener{Listener: listener}, stopPatience, ready)
}

func portFault(address string, err error) error {
	f := fault.New("listen on %s", address).Because(err)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(address)
		return f.Fix("another program holds the port: `ss -ltnp sport = :%s` names it; stop it, or set https-listen-port", port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return f.Fix("set bind-address to an address of this machine, or remove it to listen on all")
	}
	return f
}

func (p *Port) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if named := p.named[hello.ServerName]; named != nil {
		return named, nil
	}
	return p.serving(), nil
}

// ServeHTTP sends our routes to our handler, and all else to the API server once there is one.
func (p *Port) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, wire.PathPrefix) {
		p.own.ServeHTTP(w, r)
		return
	}
	if anonymous(r) {
		// A recorder in a test has no deadlines; a real connection always does.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(anonymousPatience))
	}
	if !p.awaitAPI(r) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the API server is starting", http.StatusServiceUnavailable)
		return
	}
	if p.stalled != nil && !asksForHealth(r.URL.Path) && !p.itself(r) && p.stalled() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "this server does not reach most of the others", http.StatusServiceUnavailable)
		return
	}
	p.api.ServeHTTP(w, r)
}

// itself says that the API server asks itself.
func (p *Port) itself(r *http.Request) bool {
	if r.TLS == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.named[r.TLS.ServerName] != nil
}

// anonymous says that the API server will refuse the request, as soon as it has arrived.
func anonymous(r *http.Request) bool {
	return (r.TLS == nil || len(r.TLS.PeerCertificates) == 0) && r.Header.Get("Authorization") == ""
}

// awaitAPI holds a request until the API server can answer. Health checks get their answer at once: they are asked to
// tell the truth.
func (p *Port) awaitAPI(r *http.Request) bool {
	select {
	case <-p.apiSet:
		return true
	default:
	}
	if asksForHealth(r.URL.Path) {
		return false
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-p.apiSet:
		return true
	case <-late.C:
	case <-r.Context().Done():
	}
	return false
}

func asksForHealth(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first == "readyz" || first == "livez" || first == "healthz"
}
