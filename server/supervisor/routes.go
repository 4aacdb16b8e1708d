package supervisor

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/pki"
	"github.com/skerry-io/skerry/server/token"
)

// maxBody bounds a request's body, in bytes; a join is under one kilobyte.
const maxBody = 64 << 10

// Cluster is what every node is told when it joins.
type Cluster struct {
	PodCIDR      []netip.Prefix
	ServiceCIDR  []netip.Prefix
	DNS          []netip.Addr
	Domain       string
	KubeProxyOff bool
}

// Routes answers Skerry's own API. ready says whether the API server answers.
func Routes(authorities *pki.PKI, secret wire.Token, cluster Cluster, ready func() bool, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	mux.HandleFunc("GET "+wire.PathPing, text("pong\n"))
	mux.HandleFunc("GET "+wire.PathCACerts, text(string(certs.EncodeCert(authorities.ServerCA.Certificate))))
	mux.HandleFunc("GET "+wire.PathReady, func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(w, "the API server is starting", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	j := joiner{authorities, cluster, log}
	mux.Handle("POST "+wire.PathJoin, withToken(secret, http.HandlerFunc(j.join)))
	return mux
}

// withToken lets a request pass that carries the token's secret.
func withToken(secret wire.Token, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, given, ok := r.BasicAuth(); !ok || user != wire.JoinUser || !token.Match(secret, given) {
			http.Error(w, "the token is not this server's; take the content of its token file", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

type joiner struct {
	authorities *pki.PKI
	cluster     Cluster
	log         *slog.Logger
}

// join signs a node's certificates and tells it what the cluster has in common.
func (j joiner) join(w http.ResponseWriter, r *http.Request) {
	var ask wire.Join
	body := http.MaxBytesReader(w, r.Body, maxBody)
	if err := json.NewDecoder(body).Decode(&ask); err != nil {
		http.Error(w, "the body is not a join request: "+err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := j.answer(ask)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	j.log.Info("a node got its certificates", "node", ask.Name)
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		j.log.Warn("a joining node went away", "node", ask.Name, "err", err)
	}
}

func (j joiner) answer(ask wire.Join) (*wire.Joined, error) {
	if ask.Name == "" {
		return nil, errors.New("the join request names no node")
	}
	public, err := pki.DecodePublic(ask.PublicKey)
	if err != nil {
		return nil, err
	}
	kubelet, serving, proxy, err := j.authorities.NodeCerts(ask.Name, ask.Addresses, public)
	if err != nil {
		return nil, err
	}
	return &wire.Joined{
		ServerCA:      string(certs.EncodeCert(j.authorities.ServerCA.Certificate)),
		ClientCA:      string(certs.EncodeCert(j.authorities.ClientCA.Certificate)),
		Kubelet:       string(certs.EncodeCert(kubelet)),
		KubeletServer: string(certs.EncodeCert(serving)),
		KubeProxy:     string(certs.EncodeCert(proxy)),
		ClusterCIDR:   j.cluster.PodCIDR,
		ServiceCIDR:   j.cluster.ServiceCIDR,
		ClusterDNS:    j.cluster.DNS,
		ClusterDomain: j.cluster.Domain,
		KubeProxyOff:  j.cluster.KubeProxyOff,
	}, nil
}
