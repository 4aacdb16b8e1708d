package endpoint

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"sync"
)

// forward hands requests to upstream, and its answers back as they come.
func forward(upstream http.RoundTripper, log *slog.Logger) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.Host = "" // upstream knows the server's
		},
		Transport:     upstream,
		FlushInterval: -1, // watches must arrive as they happen
		BufferPool:    newBuffers(),
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ErrorHandler:  refuse,
	}
}

// refuse says that there was no answer. Retry-After is an invitation to send the same again, and clients of Kubernetes
// follow it, so it is only given when nothing can have been done yet.
func refuse(w http.ResponseWriter, _ *http.Request, err error) {
	var lost *lostError
	if errors.As(err, &lost) {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Retry-After", "1")
	http.Error(w, "no API server answers: "+err.Error(), http.StatusServiceUnavailable)
}

// bufferSize is what each answer under way holds, in bytes; a node has dozens of idle watches.
const bufferSize = 8 << 10

// buffers are used again by later answers.
type buffers struct{ pool sync.Pool }

func newBuffers() *buffers {
	return &buffers{sync.Pool{New: func() any { return new([bufferSize]byte) }}}
}

// Get gives a buffer.
func (b *buffers) Get() []byte { return b.pool.Get().(*[bufferSize]byte)[:] }

// Put takes one back.
func (b *buffers) Put(buffer []byte) { b.pool.Put((*[bufferSize]byte)(buffer)) }
