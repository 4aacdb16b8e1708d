package status

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
)

// The routes on the socket. All take GET.
const (
	pathStatus  = "/status"  // the Report as JSON
	pathReady   = "/readyz"  // Verbose; 200 when the condition is Up, otherwise 503
	pathMetrics = "/metrics" // Metrics
)

// requestPatience is how long a request on the socket may take to arrive, and its answer to leave.
const requestPatience = 5 * time.Second

// Socket is where root can ask a board.
type Socket struct {
	server *http.Server
	ended  chan struct{} // closed when nothing serves any more
}

// Open serves the board on a unix socket at path, for root alone. The file of a process that was killed is replaced: who
// calls this has made sure, by the ledger, that no other node runs here.
func Open(path string, b *Board) (*Socket, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New("replace %s", path).Because(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fault.New("listen on %s", path).Because(err).Fix("make its directory writable: sockets of a node lie there")
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fault.New("keep %s for root", path).Because(err), listener.Close())
	}
	s := &Socket{ended: make(chan struct{}), server: &http.Server{Handler: b.handler(),
		ReadTimeout: requestPatience, WriteTimeout: requestPatience, IdleTimeout: requestPatience}}
	go func() {
		defer close(s.ended)
		_ = s.server.Serve(listener) // it ends by Close alone; without it, a node is only harder to ask
	}()
	return s, nil
}

// Close stops serving and removes the socket.
func (s *Socket) Close() error {
	err := s.server.Close()
	<-s.ended
	return err
}

func (b *Board) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathStatus, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(b.Whole()) // who asked is gone
	})
	mux.HandleFunc("GET "+pathMetrics, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", MetricsType)
		_, _ = w.Write([]byte(b.Whole().Metrics()))
	})
	mux.HandleFunc("GET "+pathReady, func(w http.ResponseWriter, _ *http.Request) {
		r := b.Report()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if r.Condition != Up {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(r.Verbose()))
	})
	return mux
}
