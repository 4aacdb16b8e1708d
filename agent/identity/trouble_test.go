package identity

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// TestATroubleIsToldOnceWithItsReason waits a little with each server that does not answer as one should.
func TestATroubleIsToldOnceWithItsReason(t *testing.T) {
	plainHTTP := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plainHTTP.Close)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	ended := time.Now().Add(-time.Hour)
	over := newFake(t, func(f *fakeServer) { f.expires = ended })
	elsewhere := newFake(t, plain, "elsewhere")
	starting := newFake(t, func(f *fakeServer) {
		f.answer = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "the API server is starting", http.StatusServiceUnavailable)
		})
	})
	for name, c := range map[string]struct {
		server string
		token  wire.Token
		want   string
	}{
		"nothing listens":        {"https://127.0.0.1:1", over.token, "nothing listens"},
		"the name is unknown":    {"https://no-such-host.invalid:6443", over.token, "no-such-host.invalid cannot be looked up"},
		"http instead of https":  {"https" + strings.TrimPrefix(plainHTTP.URL, "http"), over.token, "speaks no TLS"},
		"the clock is wrong":     {over.URL, over.token, ended.UTC().Format(time.RFC3339)},
		"another address":        {elsewhere.URL, elsewhere.token, "not for this address"},
		"the server is starting": {starting.URL, starting.token, "cannot answer now"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			dir := t.TempDir()
			ctx, stop := context.WithTimeout(t.Context(), 4*time.Second)
			defer stop()
			n := nodeOf(dir, c.server, c.token, slog.New(slog.NewTextHandler(&out, nil)))
			if err := n.Run(ctx, func() { t.Error("called ready") }); err != nil {
				t.Errorf("a stop is an error: %v", err)
			}
			if strings.Count(out.String(), "waiting for a server") != 1 || !strings.Contains(out.String(), c.want) || !strings.Contains(out.String(), "cure=") {
				t.Errorf("told %s", &out)
			}
			if strings.Contains(out.String(), c.token.Secret) {
				t.Error("the secret stands in the log")
			}
			wantOnlyTheKey(t, name, dir)
		})
	}
}

func TestExplainATimeout(t *testing.T) {
	for name, err := range map[string]error{
		"of the call":       &url.Error{Op: "Get", URL: "https://x", Err: context.DeadlineExceeded},
		"of the connection": &net.OpError{Op: "dial", Err: context.DeadlineExceeded},
	} {
		if why := explain(err); why.kind != "time" {
			t.Errorf("%s: %+v", name, why)
		}
	}
	if why := explain(io.ErrUnexpectedEOF); why.kind != "other" {
		t.Errorf("got %+v", why)
	}
}

func TestPlainHTTPIsNeverSpoken(t *testing.T) {
	asked := false
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	defer server.Close()
	err := join(t, nodeOf(t.TempDir(), server.URL, wire.Token{Secret: "x"}, slog.New(slog.DiscardHandler)))
	var told *fault.Fault
	if !asFault(err, &told) || !strings.Contains(told.Cure(), "https://") || asked {
		t.Errorf("got %v; the server was asked: %t", err, asked)
	}
}
