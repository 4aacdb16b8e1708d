package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/status"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/pki"
	"github.com/skerry-io/skerry/server/token"
)

// Config is what the supervisor's routes need.
type Config struct {
	PKI     *pki.PKI
	Tokens  *token.Store
	Cluster wire.Cluster
	Own     string                                              // name of the node in this process, empty when there is none
	Client  func() kubernetes.Interface                         // an administrator's; nil while the API server is starting
	Servers func(context.Context) []string                      // URLs of the cluster's servers
	Taken   func(ctx context.Context, node string) []netip.Addr // addresses of servers, but for those of this node
	Entry   Entry                                               // lets further servers in and out; nil while there can be none
	Changed func(context.Context) error                         // told after the server token was changed
	Connect func(node string) http.Handler                      // takes a node's tunnel; nil when there is none
	Volumes Volumes                                             // what nodes do about volumes; nil when that is switched off
	Secrets Secrets                                             // how Secrets are stored; nil where nothing can be said of it
	Rights  PodRights                                           // what nodes may answer their pods
	Report  func() status.Report                                // how this process is
	Log     *slog.Logger
}

// Supervisor answers the routes under wire.PathPrefix.
type Supervisor struct {
	Config
	mux    *http.ServeMux
	limits *limits
	own    chan string // the newest fingerprint of the own node's key that is not recorded yet
}

const (
	// maxBody bounds a request's body, in bytes; a join is under one kilobyte.
	maxBody = 64 << 10
	// readPatience is how long a request may take to arrive, and answerPatience how long the answer may take.
	readPatience, answerPatience = 10 * time.Second, 15 * time.Second
)

// New prepares the routes.
func New(c Config) *Supervisor {
	s := &Supervisor{Config: c, mux: http.NewServeMux(), limits: newLimits(), own: make(chan string, 1)}
	for _, route := range s.table() {
		s.mux.Handle(route.method+" "+route.path, s.guard(route))
	}
	return s
}

// route is one row: who may call it, and what a call costs of a client's allowance.
type route struct {
	method, path string
	who          who
	cost         int
	serve        func(http.ResponseWriter, *http.Request, caller) error
}

// lasts tells the routes on which one request lives for as long as the node does.
func (r route) lasts() bool {
	return r.path == wire.PathConnect || r.path == wire.PathVolumes && r.method == http.MethodGet || r.path == wire.PathSecrets || r.path == wire.PathPodRights
}

// table says who may call what. Whatever is not in it does not exist.
func (s *Supervisor) table() []route {
	const cheap, signing = 1, 5
	return []route{
		{http.MethodGet, wire.PathPing, anyone, cheap, s.ping},
		{http.MethodGet, wire.PathCACerts, anyone, cheap, s.caCerts},
		{http.MethodGet, wire.PathReady, anyone, cheap, s.ready},
		{http.MethodPost, wire.PathJoin, tokenHolder, signing, s.join},
		{http.MethodPost, wire.PathEnter, serverTokenHolder, signing, s.enter},
		{http.MethodPost, wire.PathCertificates, lateNode, signing, s.certificates},
		{http.MethodGet, wire.PathConfig, node, cheap, s.config},
		{http.MethodGet, wire.PathServers, node, cheap, s.servers},
		{http.MethodGet, wire.PathConnect, node, cheap, s.connect},
		{http.MethodGet, wire.PathVolumes, node, cheap, s.volumeOrders},
		{http.MethodPost, wire.PathVolumes, node, cheap, s.volumeReport},
		{http.MethodGet, wire.PathPodRights, node, cheap, s.podRights},
		{http.MethodDelete, wire.PathMembers, administrator, cheap, s.leave},
		{http.MethodGet, wire.PathMetrics, administrator, cheap, s.metrics},
		{http.MethodPut, wire.PathToken, administrator, cheap, s.changeToken},
		{http.MethodGet, wire.PathSecrets, administrator, cheap, s.secretsStatus},
		{http.MethodPost, wire.PathSecrets, administrator, cheap, s.secretsRotate},
		{http.MethodGet, wire.PathSecretsLoaded, administrator, cheap, s.secretsLoaded},
	}
}

// ServeHTTP answers one request.
func (s *Supervisor) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// refusal is an answer to a request that cannot be granted.
type refusal struct {
	status int
	reason string
}

func (r refusal) Error() string { return r.reason }

// guard lets a request through to its route when the caller may call it, and not too often.
func (s *Supervisor) guard(route route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.limits.allow(r, route.cost) {
			refuse(w, refusal{http.StatusTooManyRequests, "too many requests; try again in a moment"})
			return
		}
		// A recorder in a test has no deadlines; a real connection always does.
		connection := http.NewResponseController(w)
		_ = connection.SetReadDeadline(time.Now().Add(readPatience))
		if !route.lasts() {
			ctx, cancel := context.WithTimeout(r.Context(), answerPatience)
			defer cancel()
			r = r.WithContext(ctx)
		}
		c, err := s.identify(route.who, r)
		if err == nil && route.lasts() { // strangers may not stay
			_ = connection.SetReadDeadline(time.Time{})
		}
		if err == nil {
			err = route.serve(w, r, c)
		}
		if err != nil {
			s.fail(w, route, c, err)
		}
	})
}

// fail answers with what went wrong, as far as the caller may know it.
func (s *Supervisor) fail(w http.ResponseWriter, route route, c caller, err error) {
	var no refusal
	switch {
	case errors.As(err, &no):
		refuse(w, no)
	case errors.Is(err, errNoAPI), errors.Is(err, token.ErrNoAPI):
		refuse(w, refusal{http.StatusServiceUnavailable, "the API server is starting; ask again in a moment"})
	default:
		s.Log.Warn("a request could not be answered", "path", route.path, "node", c.name, "err", err)
		refuse(w, refusal{http.StatusServiceUnavailable, "the server could not do it now; its log says why"})
	}
}

// errNoAPI says that the API server does not answer yet.
var errNoAPI = errors.New("the API server is starting")

func refuse(w http.ResponseWriter, no refusal) {
	if no.status == http.StatusServiceUnavailable || no.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, no.reason, no.status)
}
