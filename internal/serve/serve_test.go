package serve_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/serve"
)

// TestAWatchDoesNotHoldUpTheEnd: a request that never ends is closed when patience is over, and nothing listens after.
func TestAWatchDoesNotHoldUpTheEnd(t *testing.T) {
	asked := make(chan struct{})
	watch := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	model := httptest.NewUnstartedServer(watch)
	model.StartTLS()
	defer model.Close()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ready, result := make(chan struct{}), make(chan error, 1)
	srv := &http.Server{Handler: watch, TLSConfig: model.TLS, ReadHeaderTimeout: time.Second}
	go func() {
		result <- serve.TLS(ctx, srv, listener, 50*time.Millisecond, func() { close(ready) })
	}()
	<-ready
	go func() {
		if answer, err := model.Client().Get("https://" + listener.Addr().String()); err == nil {
			_ = answer.Body.Close()
		}
	}()
	<-asked
	stop()
	select {
	case err := <-result:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it still serves")
	}
	if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("something still listens")
	}
}
