package supervisor

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/pki"
	"github.com/skerry-io/skerry/server/token"
)

// maxBody bounds a request's body, in bytes; a join is under one kilobyte.
const maxBody = 64 << 10

// Routes answers Skerry's own API. ready says whether the API server answers.
func Routes(authorities *pki.PKI, secret wire.Token, cluster wire.Cluster, ready func() bool, log *slog.Logger) http.Handler {
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
	cluster     wire.Cluster
	log         *slog.Logger
}

// refusal is an answer to a request that cannot be granted.
type refusal struct {
	status int
	reason string
}

func (r refusal) Error() string { return r.reason }

// join signs a node's certificates and tells it what the cluster has in common.
func (j joiner) join(w http.ResponseWriter, r *http.Request) {
	answer, name, err := j.answer(http.MaxBytesReader(w, r.Body, maxBody))
	var no refusal
	switch {
	case errors.As(err, &no):
		http.Error(w, no.reason, no.status)
		return
	case err != nil:
		j.log.Error("a node got no certificates", "node", name, "err", err)
		http.Error(w, "the certificates could not be signed; the server's log says why", http.StatusInternalServerError)
		return
	}
	j.log.Info("a node got its certificates", "node", name)
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		j.log.Warn("a joining node went away", "node", name, "err", err)
	}
}

// answer is what the node of a join request gets; its error is a refusal when the request is at fault.
func (j joiner) answer(body io.Reader) (answer *wire.Joined, name string, err error) {
	ask, public, err := readJoin(body)
	if err != nil {
		return nil, ask.Name, err
	}
	kubelet, serving, proxy, err := j.authorities.NodeCerts(ask.Name, ask.Addresses, public)
	if err != nil {
		return nil, ask.Name, err
	}
	return &wire.Joined{
		ServerCA:      string(certs.EncodeCert(j.authorities.ServerCA.Certificate)),
		ClientCA:      string(certs.EncodeCert(j.authorities.ClientCA.Certificate)),
		Kubelet:       string(certs.EncodeCert(kubelet)),
		KubeletServer: string(certs.EncodeCert(serving)),
		KubeProxy:     string(certs.EncodeCert(proxy)),
		Cluster:       j.cluster,
	}, ask.Name, nil
}

// readJoin reads a join request and refuses what no certificate should say.
func readJoin(body io.Reader) (ask wire.Join, public crypto.PublicKey, err error) {
	if err := json.NewDecoder(body).Decode(&ask); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return ask, nil, refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the join request is larger than %d bytes", maxBody)}
		}
		return ask, nil, refusal{http.StatusBadRequest, "the body is not a join request: " + err.Error()}
	}
	if wrong := validation.IsDNS1123Subdomain(ask.Name); len(wrong) > 0 {
		return ask, nil, refusal{http.StatusBadRequest, fmt.Sprintf("%q cannot be the name of a node", ask.Name)}
	}
	if slices.ContainsFunc(ask.Addresses, func(ip netip.Addr) bool { return !ip.IsValid() }) {
		return ask, nil, refusal{http.StatusBadRequest, "the join request has an empty address"}
	}
	if public, err = pki.DecodePublic(ask.PublicKey); err != nil {
		return ask, nil, refusal{http.StatusBadRequest, err.Error()}
	}
	return ask, public, nil
}
