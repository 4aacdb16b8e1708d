package apiserver

import (
	"net/http"
	"strings"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
)

// gatePatience is how long the gate holds a request; after that it gets what answer there is.
const gatePatience = 15 * time.Second

// gate holds requests back until the API server is ready. It answers earlier, but who may do what it reads meanwhile, and
// until that is known it refuses what it should not. Nodes of a server that was restarted would take that for an answer,
// and wait longer before each next question.
type gate struct {
	api  http.Handler
	open chan struct{} // closed when it is ready
}

func newGate(api http.Handler) *gate { return &gate{api, make(chan struct{})} }

// ServeHTTP passes at once what the API server asks itself, which it may need to become ready, and questions for its health.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !asksItself(r) && !asksForHealth(r) {
		select {
		case <-g.open:
		default:
			g.wait(r)
		}
	}
	g.api.ServeHTTP(w, r)
}

func (g *gate) wait(r *http.Request) {
	late := time.NewTimer(gatePatience)
	defer late.Stop()
	select {
	case <-g.open:
	case <-late.C:
	case <-r.Context().Done():
	}
}

func asksItself(r *http.Request) bool {
	return r.TLS != nil && r.TLS.ServerName == genericapiserver.LoopbackClientServerNameOverride
}

func asksForHealth(r *http.Request) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return first == "readyz" || first == "livez" || first == "healthz"
}
