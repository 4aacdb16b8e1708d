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
)

// Endpoint is the reverse proxy.
type Endpoint struct {
	config Config
	id     Identity
	log    *slog.Logger
}

// New prepares an endpoint; id is first used in Run.
func New(c Config, id Identity, log *slog.Logger) *Endpoint { return &Endpoint{c, id, log} }

// Run serves until ctx ends.
func (e *Endpoint) Run(ctx context.Context, ready func()) error {
	serving, err := e.id.Serving()
	if err != nil {
		return err
	}
	handler, err := e.handler()
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", e.config.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.New("listen on %s", e.config.Address).Because(err).
			Fix("another program holds the port; stop it, or set lb-server-port")
	}
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{
			MinVersion:   tls.VersionTLS12,
			Certificates: []tls.Certificate{serving},
			ClientAuth:   tls.VerifyClientCertIfGiven,
			ClientCAs:    e.id.ClientCA(),
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.ServeTLS(listener, "", "") }()
	ready()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	if srv.Shutdown(late) != nil {
		_ = srv.Close() // watches never end on their own
	}
	<-ended
	return nil
}

// handler sends each caller through a proxy of its own, so that the server sees the right client certificate.
func (e *Endpoint) handler() (http.Handler, error) {
	target, err := url.Parse(e.config.Server)
	if err != nil {
		return nil, err
	}
	clients, err := e.id.Clients()
	if err != nil {
		return nil, err
	}
	anonymous := e.proxy(target, nil)
	byUser := map[string]http.Handler{}
	for user, cert := range clients {
		byUser[user] = e.proxy(target, &cert)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 {
			anonymous.ServeHTTP(w, r)
			return
		}
		user := r.TLS.PeerCertificates[0].Subject.CommonName
		proxy, ours := byUser[user]
		if !ours {
			http.Error(w, "this endpoint only speaks for the components of its own node, not for "+user, http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r)
	}), nil
}

func (e *Endpoint) proxy(target *url.URL, client *tls.Certificate) http.Handler {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: e.id.ServerCA()}
	if client != nil {
		trust.Certificates = []tls.Certificate{*client}
	}
	multiplexed := &http.Transport{TLSClientConfig: trust, DialContext: dial, ForceAttemptHTTP2: true, IdleConnTimeout: 90 * time.Second}
	plain := trust.Clone()
	plain.NextProtos = []string{"http/1.1"}
	upgraded := &http.Transport{TLSClientConfig: plain, DialContext: dial, IdleConnTimeout: 90 * time.Second}
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     byProtocol{multiplexed, upgraded},
		FlushInterval: -1, // watches must arrive as they happen
		ErrorLog:      slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "no API server answers: "+err.Error(), http.StatusServiceUnavailable)
		},
	}
}

// byProtocol sends requests that upgrade (exec, attach, port-forward) over HTTP/1.1, which HTTP/2 cannot carry.
type byProtocol struct{ multiplexed, upgraded http.RoundTripper }

func (t byProtocol) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return t.upgraded.RoundTrip(r)
	}
	return t.multiplexed.RoundTrip(r)
}

// dial connects, and waits for a server that is just starting.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	until := time.Now().Add(patience)
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
