package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"syscall"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/serve"
)

// Identity is what the endpoint needs of the node's certificates.
type Identity interface {
	Serving() (tls.Certificate, error)
	Clients() (map[string]tls.Certificate, error) // by user name
	ServerCA() *x509.CertPool
	ClientCA() *x509.CertPool
}

// Config says where the endpoint listens and where requests go.
type Config struct {
	Address string // loopback host:port
	Server  string // URL of the API server
}

const (
	// patience is how long a request waits for a server that refuses connections because it is starting.
	patience = 15 * time.Second
	// redial is the pause between two attempts within that time.
	redial = 50 * time.Millisecond
	// stopPatience is how long requests in flight may delay the end.
	stopPatience = 500 * time.Millisecond
	// silence is how long a connection to a server may say nothing before it is asked whether it lives, and then may
	// take to answer: a server that lost its power closes no connection.
	silence = 15 * time.Second
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
	serving, err := e.id.Serving()
	if err != nil {
		return err
	}
	routes, err := e.routes()
	if err != nil {
		return err
	}
	defer routes.close()
	listener, err := e.listen(ctx)
	if err != nil {
		return err
	}
	requests, cancelRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelRequests() // ends what was upgraded, which the server no longer knows
	srv := &http.Server{
		Handler:           routes,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{
			MinVersion:   tls.VersionTLS12,
			Certificates: []tls.Certificate{serving},
			ClientAuth:   tls.VerifyClientCertIfGiven,
			ClientCAs:    e.id.ClientCA(),
		},
	}
	return serve.TLS(ctx, srv, listener, stopPatience, ready)
}

func (e *Endpoint) listen(ctx context.Context) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", e.config.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fault.New("listen on %s", e.config.Address).Because(err).
			Fix("another program holds the port; stop it, or set lb-server-port")
	}
	return listener, err
}

// routes sends each caller through a proxy of its own, so that the server sees the right client certificate.
type routes struct {
	anonymous *httputil.ReverseProxy
	byUser    map[string]*httputil.ReverseProxy
	roads     []byProtocol
}

func (e *Endpoint) routes() (*routes, error) {
	target, err := url.Parse(e.config.Server)
	if err != nil {
		return nil, err
	}
	clients, err := e.id.Clients()
	if err != nil {
		return nil, err
	}
	r := &routes{byUser: map[string]*httputil.ReverseProxy{}}
	proxy := func(clients ...tls.Certificate) *httputil.ReverseProxy {
		road := e.road(clients)
		r.roads = append(r.roads, road)
		return e.proxy(target, road)
	}
	r.anonymous = proxy()
	for user, cert := range clients {
		r.byUser[user] = proxy(cert)
	}
	return r, nil
}

func (r *routes) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if len(request.TLS.PeerCertificates) == 0 {
		r.anonymous.ServeHTTP(w, request)
		return
	}
	user := request.TLS.PeerCertificates[0].Subject.CommonName
	proxy, ours := r.byUser[user]
	if !ours {
		http.Error(w, "this endpoint only speaks for the components of its own node, not for "+user, http.StatusForbidden)
		return
	}
	proxy.ServeHTTP(w, request)
}

func (r *routes) close() {
	for _, road := range r.roads {
		road.multiplexed.CloseIdleConnections()
		road.upgraded.CloseIdleConnections()
	}
}

// road is the way to the server for a caller with these client certificates.
func (e *Endpoint) road(clients []tls.Certificate) byProtocol {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: e.id.ServerCA(), Certificates: clients}
	plain := trust.Clone()
	plain.NextProtos = []string{"http/1.1"}
	return byProtocol{
		multiplexed: &http.Transport{TLSClientConfig: trust, DialContext: e.dial, ForceAttemptHTTP2: true, IdleConnTimeout: 90 * time.Second,
			HTTP2: &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: silence}},
		upgraded: &http.Transport{TLSClientConfig: plain, DialContext: e.dial, IdleConnTimeout: 90 * time.Second},
	}
}

func (e *Endpoint) proxy(target *url.URL, road byProtocol) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     road,
		FlushInterval: -1, // watches must arrive as they happen
		ErrorLog:      slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "no API server answers: "+err.Error(), http.StatusServiceUnavailable)
		},
	}
}

// byProtocol sends requests that upgrade (exec, attach, port-forward) over HTTP/1.1, which HTTP/2 cannot carry.
type byProtocol struct{ multiplexed, upgraded *http.Transport }

func (t byProtocol) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return t.upgraded.RoundTrip(r)
	}
	return t.multiplexed.RoundTrip(r)
}

// dial connects, and waits for a server that is just starting.
func (e *Endpoint) dial(ctx context.Context, network, address string) (net.Conn, error) {
	until := time.Now().Add(e.patience)
	for {
		conn, err := (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext(ctx, network, address)
		if err == nil || !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(until) {
			return conn, err
		}
		select {
		case <-time.After(redial):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
