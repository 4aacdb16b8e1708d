package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/net/http2"

	"github.com/skerry-io/skerry/internal/traffic"
	"github.com/skerry-io/skerry/internal/wire"
)

// errNotNeeded is the answer of a server in the node's own process, and of one that the node has a tunnel to already,
// by another URL.
var errNotNeeded = errors.New("the server needs no other tunnel to this node")

// Servers are the servers of the cluster, as a node knows them.
type Servers interface {
	// URLs lists them now.
	URLs() []string
	// Changed gives a channel that closes at the next change of the list; nil when there will be none.
	Changed() <-chan struct{}
}

// Fixed is a list of servers that does not change.
type Fixed []string

// URLs is the list.
func (f Fixed) URLs() []string { return f }

// Changed is nil.
func (f Fixed) Changed() <-chan struct{} { return nil }

// Config is what a node's end needs.
type Config struct {
	Servers Servers
	// TLS gives the node's client certificate and the CA to trust; asked at each attempt, so that a renewed certificate
	// counts. The result is not kept.
	TLS  func() (*tls.Config, error)
	Dial Dial
	// Traffic counts what the tunnels carry; nil for nobody.
	Traffic *traffic.Meter
	Log     *slog.Logger
}

// Client is a node's end of its tunnels.
type Client struct {
	config  Config
	pulse   pulse
	buffers websocket.BufferPool
	pause   func(attempt int) time.Duration

	mu    sync.Mutex        // guards what follows
	lines map[string]*line  // by the marks of the servers that there are tunnels to
	marks map[string]string // of servers, by their URLs
	loss  chan struct{}     // closed, and replaced, when a tunnel ends
	hurry chan struct{}     // closed, and replaced, by Hurry
}

// NewClient prepares the node's end.
func NewClient(c Config) *Client {
	return &Client{config: c, pulse: nodePulse(), buffers: newBuffers(), lines: map[string]*line{}, marks: map[string]string{},
		loss: make(chan struct{}), hurry: make(chan struct{}), pause: func(attempt int) time.Duration { return pause(attempt, rand.Float64()) }}
}

// Run keeps a tunnel to each server until ctx ends. It is ready at once: nothing on the node waits for a tunnel.
func (c *Client) Run(ctx context.Context, ready func()) error {
	ready()
	var lines sync.WaitGroup
	defer lines.Wait()
	stops := map[string]context.CancelFunc{}
	for {
		changed := c.config.Servers.Changed()
		wanted := map[string]bool{}
		for _, server := range c.config.Servers.URLs() {
			wanted[server] = true
			if stops[server] == nil {
				line, stop := context.WithCancel(ctx)
				stops[server] = stop
				lines.Go(func() { c.keep(line, server) })
			}
		}
		for server, stop := range stops {
			if !wanted[server] {
				stop()
				delete(stops, server)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil // and with it end all lines
		}
	}
}

// keep holds a tunnel to one server until ctx ends.
func (c *Client) keep(ctx context.Context, server string) {
	log := c.config.Log.With("server", server)
	for attempt, told := 0, false; ; attempt++ {
		began, loss := time.Now(), c.nextLoss()
		up, err := c.once(ctx, server, log)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errNotNeeded):
			log.Debug("no tunnel to this server", "why", err)
			select {
			case <-loss:
				attempt = 1 // after whoever has lost it
			case <-ctx.Done():
				return
			}
		case up:
			log.Info("the tunnel to a server ended")
			told = false
			if time.Since(began) > settled {
				attempt = 0
			}
		case !told && attempt > 1: // a server that restarts is away for longer than the first pauses
			log.Warn("no tunnel to a server: it cannot reach this node's kubelet for now", "err", err)
			told = true
		}
		if attempt = c.rest(ctx, attempt); ctx.Err() != nil {
			return
		}
	}
}

// rest is the pause after an attempt. When somebody has news of a server, the pauses begin anew.
func (c *Client) rest(ctx context.Context, attempt int) int {
	timer := time.NewTimer(c.pause(attempt))
	defer timer.Stop()
	c.mu.Lock()
	hurry := c.hurry
	c.mu.Unlock()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-hurry:
		if attempt > 0 {
			return c.rest(ctx, 0)
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return attempt
}

// Hurry says that a server is in reach again: the long pauses between attempts end.
func (c *Client) Hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.hurry)
	c.hurry = make(chan struct{})
}

// Say says a word to a server, by the tunnel there, and gives its answer; an empty one is a refusal. It waits at most three seconds;
// that nothing at all came meanwhile is ErrSilent.
func (c *Client) Say(ctx context.Context, server string, word []byte) ([]byte, error) {
	c.mu.Lock()
	to := c.lines[c.marks[server]]
	c.mu.Unlock()
	if to == nil {
		return nil, ErrNoTunnel
	}
	return to.say(ctx, word, wordPatience)
}

// nextLoss closes when a tunnel ends.
func (c *Client) nextLoss() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loss
}

// have notes that there is a tunnel to the server with a mark, until lose is called.
func (c *Client) have(mark string, by *line) (lose func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines[mark] = by
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.lines[mark] == by { // not one that took its place
			delete(c.lines, mark)
		}
		close(c.loss)
		c.loss = make(chan struct{})
	}
}

func (c *Client) allMarks() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.lines))
}

// learn notes whose URL this is.
func (c *Client) learn(server, mark string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marks[server] = mark
}

// once makes a tunnel and serves it to its end. up says whether there was one.
func (c *Client) once(ctx context.Context, server string, log *slog.Logger) (up bool, err error) {
	ws, mark, err := c.open(ctx, server)
	if err != nil {
		return false, err
	}
	conn := newConn(ws)
	by := newLine(conn, nil)
	defer c.have(mark, by)()
	log.Info("the tunnel to a server is up")
	work := &answers{dial: c.config.Dial}
	defer work.busy.Wait()
	defer by.close()
	by.start(func() { by.watch(c.pulse) })
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	quiet := slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	(&http2.Server{
		MaxConcurrentStreams: maxStreams, MaxReadFrameSize: maxFrame,
		MaxUploadBufferPerStream: window, MaxUploadBufferPerConnection: allWindows,
	}).ServeConn(conn, &http2.ServeConnOpts{Context: ctx, Handler: work, BaseConfig: &http.Server{ErrorLog: quiet}})
	return true, nil
}

// open connects to a server and makes the connection a websocket. mark is the server's.
func (c *Client) open(ctx context.Context, server string) (ws *websocket.Conn, mark string, err error) {
	address, err := url.Parse(server)
	if err != nil {
		return nil, "", err
	}
	config, err := c.config.TLS()
	if err != nil {
		return nil, "", fmt.Errorf("the node's certificate: %w", err)
	}
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"} // a websocket needs it; the port would rather speak HTTP/2
	dialer := websocket.Dialer{
		NetDialContext:   c.dial,
		TLSClientConfig:  config,
		HandshakeTimeout: handshakePatience,
		Subprotocols:     []string{protocol},
		WriteBufferSize:  writeBuffer,
		WriteBufferPool:  c.buffers,
	}
	ws, answer, err := dialer.DialContext(ctx, "wss://"+address.Host+wire.PathConnect, http.Header{haveHeader: c.allMarks()})
	switch {
	case err != nil && answer != nil:
		if mark = answer.Header.Get(markHeader); mark != "" {
			c.learn(server, mark)
		}
		return nil, "", refusal(answer)
	case err != nil:
		return nil, "", err
	case ws.Subprotocol() != protocol:
		return nil, "", errors.Join(fmt.Errorf("the server does not speak %s in its tunnels", protocol), ws.Close())
	}
	mark = answer.Header.Get(markHeader)
	c.learn(server, mark)
	return ws, mark, nil
}

// dial makes the connection that a tunnel is made on.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: handshakePatience, KeepAlive: -1}).DialContext(ctx, network, address) // its ends ask each other
	if err != nil {
		return nil, err
	}
	return traffic.Count(conn, c.config.Traffic.Of(address, traffic.Tunnel)), nil
}

// refusal is what a server says when it gives no tunnel.
func refusal(answer *http.Response) error {
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusMisdirectedRequest {
		return errNotNeeded
	}
	reason, _ := io.ReadAll(io.LimitReader(answer.Body, maxReason))
	line, _, _ := strings.Cut(strings.TrimSpace(string(reason)), "\n")
	return fmt.Errorf("the server answers %s: %s", answer.Status, line)
}
