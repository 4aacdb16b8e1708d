package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/tunnel"
)

const (
	// patience is how long a server may take to answer a lease until it is doubted.
	patience = 3 * time.Second
	// maxLease bounds a lease, in bytes; one is about a kilobyte.
	maxLease = 64 << 10
)

// Line says words to servers, as tunnel.Client does.
type Line interface {
	Say(ctx context.Context, server string, word []byte) (answer []byte, err error)
}

// Servers is the way of requests to the servers.
type Servers interface {
	http.RoundTripper
	// InUse is the URL of the server that requests go to; empty when none answers, or it is on this machine.
	InUse() string
	// Doubt says that a server has left somebody without an answer.
	Doubt(server string)
}

// Config says whose lease it is, and how words are said.
type Config struct {
	Node   string
	Caller func(context.Context) string // the user whom a request comes from
	Line   Line
}

// renewals is the way to the servers for everything, and a shorter one for renewals of the lease.
type renewals struct {
	config  Config
	servers Servers
	path    string

	mu    sync.Mutex // guards what follows
	last  *coordination.Lease
	media string // in which the kubelet was answered
}

// Around is the way to the servers with the short way in it.
func Around(c Config, servers Servers) http.RoundTripper {
	path := "/apis/" + coordination.SchemeGroupVersion.String() + "/namespaces/" + core.NamespaceNodeLease + "/leases/" + c.Node
	return &renewals{config: c, servers: servers, path: path}
}

// RoundTrip sends a request, or what is new in it.
func (h *renewals) RoundTrip(r *http.Request) (*http.Response, error) {
	if !h.isLease(r) {
		return h.servers.RoundTrip(r)
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, maxLease+1))
	_ = r.Body.Close()
	if err == nil && len(text) > maxLease {
		err = errors.New("the lease is too large")
	}
	if err != nil {
		return nil, err
	}
	h.mu.Lock() // the kubelet sends one after the other
	defer h.mu.Unlock()
	server := h.servers.InUse()
	if answer := h.short(r, server, text); answer != nil {
		return answer, nil
	}
	whole := r.WithContext(r.Context())
	whole.Body, whole.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return h.full(whole, server)
}

// isLease says that the kubelet sends its lease, and wants nothing more than that. It says how long it is going to wait.
func (h *renewals) isLease(r *http.Request) bool {
	if r.Method != http.MethodPut || r.URL.Path != h.path || r.Body == nil || h.config.Caller(r.Context()) != wire.NodeUser+h.config.Node {
		return false
	}
	query := r.URL.Query()
	query.Del("timeout")
	return len(query) == 0
}

// short renews the lease by a word; nil when that cannot be, or did not work.
func (h *renewals) short(r *http.Request, server string, text []byte) *http.Response {
	if h.last == nil || server == "" {
		return nil
	}
	wanted, err := read(text)
	if err != nil || !renews(h.last, wanted) {
		return nil
	}
	known, err := strconv.ParseUint(wanted.ResourceVersion, 10, 64)
	if err != nil {
		return nil
	}
	said, err := h.config.Line.Say(r.Context(), server, wire.Heartbeat{RenewTime: wanted.Spec.RenewTime.Time, Version: known}.Word())
	if errors.Is(err, tunnel.ErrSilent) {
		h.servers.Doubt(server)
	}
	version, renewed := wire.ReadRenewed(said)
	if err != nil || !renewed {
		return nil
	}
	wanted.ResourceVersion = strconv.FormatUint(version, 10)
	body, err := write(wanted, h.media)
	if err != nil {
		return nil
	}
	h.last = wanted
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {h.media}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// renews says that a lease is the other one at a later time.
func renews(last, next *coordination.Lease) bool {
	if next.Spec.RenewTime == nil {
		return false
	}
	was, is := *last, *next
	was.Spec.RenewTime, is.Spec.RenewTime = &meta.MicroTime{}, &meta.MicroTime{}
	return equal(&was, &is)
}

// full sends a lease as it is, and remembers how the server has it then. What it remembers stays while no server answers: a word
// may still find its way, and counts only when the lease is still of that version.
func (h *renewals) full(r *http.Request, server string) (*http.Response, error) {
	if server != "" {
		late := time.AfterFunc(patience, func() { h.servers.Doubt(server) })
		defer late.Stop()
	}
	answer, err := h.servers.RoundTrip(r)
	if err != nil || answer.StatusCode == http.StatusBadGateway || answer.StatusCode == http.StatusServiceUnavailable {
		return answer, err
	}
	h.last = nil
	if answer.StatusCode != http.StatusOK {
		return answer, nil
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxLease))
	_ = answer.Body.Close()
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(text))
	if lease, err := read(text); err == nil {
		h.last, h.media = lease, answer.Header.Get("Content-Type")
	}
	return answer, nil
}
