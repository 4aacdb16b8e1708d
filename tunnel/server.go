package tunnel

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/net/http2"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/traffic"
)

const (
	// patience is how long Dial waits for a node that has no tunnel: it may be on its way back.
	patience = 5 * time.Second
	// young is the age of a tunnel that nobody replaces in good health.
	young = time.Minute
)

// Server is a server's end of all tunnels.
type Server struct {
	self      string
	mark      string // of this server, new at each start
	log       *slog.Logger
	transport *http2.Transport
	upgrader  websocket.Upgrader
	patience  time.Duration
	pulse     pulse
	hears     Hears
	meter     *traffic.Meter
	serving   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	sessions map[string]*session
	arrival  chan struct{} // closed, and replaced, when a node gets a tunnel
	closed   bool
}

// NewServer prepares the server's end. self is the node in the same process, which needs no tunnel; empty when there is
// none. hears answers the words of nodes; nil for nobody.
func NewServer(self string, hears Hears, log *slog.Logger) (*Server, error) {
	transport, err := newTransport()
	if err != nil {
		return nil, err
	}
	return &Server{
		self: self, mark: rand.Text(), log: log, transport: transport, patience: patience, pulse: serverPulse(), hears: hears, meter: traffic.NewMeter(),
		upgrader: websocket.Upgrader{Subprotocols: []string{protocol}, WriteBufferSize: writeBuffer, WriteBufferPool: newBuffers(),
			HandshakeTimeout: handshakePatience},
		sessions: map[string]*session{}, arrival: make(chan struct{}),
	}, nil
}

// For is the handler of a node whose name is proved.
func (s *Server) For(node string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Serve(w, r, node) })
}

// Serve makes a request the tunnel of node, and returns when it ends. That the caller is this node must have been proved
// by its certificate: a newer tunnel takes the place of an older one.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, node string) {
	if node == s.self || s.Has(node) && slices.Contains(r.Header.Values(haveHeader), s.mark) {
		w.Header().Set(markHeader, s.mark)
		http.Error(w, "node "+node+" needs no other tunnel to this server", http.StatusMisdirectedRequest)
		return
	}
	if !slices.Contains(websocket.Subprotocols(r), protocol) {
		http.Error(w, "this server's tunnels speak "+protocol, http.StatusUpgradeRequired)
		return
	}
	if !s.begin() {
		http.Error(w, "this server is stopping", http.StatusServiceUnavailable)
		return
	}
	defer s.serving.Done()
	ws, err := s.upgrader.Upgrade(w, r, http.Header{markHeader: {s.mark}})
	if err != nil {
		s.log.Debug("a request for a tunnel was none", "node", node, "err", err) // it has its answer
		return
	}
	if counted := traffic.Find(ws.NetConn()); counted != nil {
		counted.For(s.meter.Of(node, traffic.Tunnel))
	}
	conn := newConn(ws)
	line := newLine(conn, s.hearing(conn, r.TLS, node))
	defer line.close()
	client, err := s.transport.NewClientConn(conn)
	if err != nil {
		s.log.Debug("a tunnel broke at once", "node", node, "err", err)
		return
	}
	made := &session{node: node, from: r.RemoteAddr, since: time.Now(), conn: conn, http: client}
	s.enter(made)
	line.watch(s.pulse)
	_ = client.Close()
	s.leave(made)
}

// hearing answers the words of one tunnel's node. They count as long as the certificate does that it was made with; a node that
// has another one by then comes again.
func (s *Server) hearing(conn *conn, with *tls.ConnectionState, node string) func(context.Context, []byte) []byte {
	if s.hears == nil {
		return nil
	}
	return func(ctx context.Context, word []byte) []byte {
		if with != nil && len(with.PeerCertificates) > 0 && certs.Over(with.PeerCertificates[0]) {
			_ = conn.Close()
			return nil
		}
		return s.hears(ctx, node, word)
	}
}

// begin counts a caller in, unless the server is closed.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.serving.Add(1)
	}
	return !s.closed
}

// enter makes a session the node's one, and ends the one before.
func (s *Server) enter(made *session) {
	s.mu.Lock()
	before, closed := s.sessions[made.node], s.closed
	if !closed {
		s.sessions[made.node] = made
		close(s.arrival)
		s.arrival = make(chan struct{})
	}
	s.mu.Unlock()
	switch {
	case closed:
		_ = made.conn.Close()
	case before == nil:
		s.log.Info("a node has a tunnel", "node", made.node, "from", made.from)
	default:
		say := s.log.Info
		if time.Since(before.since) < young && !before.over() && !sameHost(before.from, made.from) {
			say = s.log.Warn // two machines with one key, for example from a copied disk
		}
		say("a node has a new tunnel while it had another", "node", made.node, "from", made.from, "before", before.from)
		_ = before.conn.Close()
	}
}

func sameHost(a, b string) bool {
	hostA, _, _ := net.SplitHostPort(a)
	hostB, _, _ := net.SplitHostPort(b)
	return hostA == hostB
}

// leave forgets a session that has ended, unless another one has taken its place.
func (s *Server) leave(ended *session) {
	s.mu.Lock()
	last := s.sessions[ended.node] == ended
	if last {
		delete(s.sessions, ended.node)
	}
	quiet := !last || s.closed
	s.mu.Unlock()
	if !quiet {
		s.log.Info("a node's tunnel ended", "node", ended.node, "from", ended.from, "after", time.Since(ended.since).Round(time.Second))
	}
}

// Dial connects to an address as the node understands it. A node without a tunnel is given a moment to get one.
func (s *Server) Dial(ctx context.Context, node, to string) (net.Conn, error) {
	for again := true; ; again = false {
		found, err := s.await(ctx, node)
		if err != nil {
			return nil, err
		}
		made, err := found.dial(ctx, to)
		if err == nil || !again || !found.over() || ctx.Err() != nil {
			return made, err
		}
	}
}

// await gives the node's session, waiting for it a moment.
func (s *Server) await(ctx context.Context, node string) (*session, error) {
	late := time.NewTimer(s.patience)
	defer late.Stop()
	for {
		s.mu.Lock()
		found, arrival := s.sessions[node], s.arrival
		s.mu.Unlock()
		if found != nil && !found.over() {
			return found, nil
		}
		select {
		case <-arrival:
		case <-late.C:
			return nil, fault.New("node %s has no tunnel to this server", node).
				Fix("see whether skerry runs on that node and can reach this server's port; its log says what keeps it")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Has says whether a node has a tunnel now.
func (s *Server) Has(node string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[node] != nil
}

// Tunnel is one node's tunnel.
type Tunnel struct {
	Node  string
	From  string // address and port that it came from
	Since time.Time
}

// Tunnels lists the tunnels there are, by name of the node.
func (s *Server) Tunnels() []Tunnel {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Tunnel
	for _, one := range s.sessions {
		list = append(list, Tunnel{one.node, one.from, one.since})
	}
	slices.SortFunc(list, func(a, b Tunnel) int { return cmp.Compare(a.Node, b.Node) })
	return list
}

// Traffic is what each node's tunnels have carried since the process began, also those that ended, where the port counts.
func (s *Server) Traffic() []traffic.Link { return s.meter.Links() }

// Drop ends a node's tunnel; the node may come back, if it is still let in.
func (s *Server) Drop(node string) {
	s.mu.Lock()
	found := s.sessions[node]
	s.mu.Unlock()
	if found != nil {
		_ = found.conn.Close()
	}
}

// Close ends all tunnels, lets no new one in, and returns when none is left.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	all := slices.Collect(maps.Values(s.sessions))
	s.mu.Unlock()
	for _, one := range all {
		_ = one.conn.Close()
	}
	s.serving.Wait()
}
