package apiserver

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
)

func TestTheGate(t *testing.T) {
	for name, c := range map[string]struct {
		path, serverName string
		opens, leaves    time.Duration // of the gate and of the client; zero is never
		want             time.Duration
	}{
		"a request waits until it opens":  {"/api/v1/nodes", "", 2 * time.Second, 0, 2 * time.Second},
		"but not for ever":                {"/api/v1/nodes", "", 0, 0, gatePatience},
		"nor longer than the client":      {"/api/v1/nodes", "", 0, time.Second, time.Second},
		"the API server's own does not":   {"/api/v1/nodes", genericapiserver.LoopbackClientServerNameOverride, 0, 0, 0},
		"nor a question for its health":   {"/readyz/ping", "", 0, 0, 0},
		"a path that only looks like one": {"/healthzz", "", 2 * time.Second, 0, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin, took := time.Now(), time.Duration(-1)
				g := newGate(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { took = time.Since(begin) }))
				if c.opens > 0 {
					time.AfterFunc(c.opens, func() { close(g.open) })
				}
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path, nil)
				if c.leaves > 0 {
					ctx, cancel := context.WithTimeout(t.Context(), c.leaves)
					defer cancel()
					r = r.WithContext(ctx)
				}
				r.TLS = &tls.ConnectionState{ServerName: c.serverName}
				g.ServeHTTP(httptest.NewRecorder(), r)
				if took != c.want {
					t.Errorf("the API server got it after %v, want %v", took, c.want)
				}
			})
		})
	}
}
