package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

func asFault(err error, to **fault.Fault) bool { return errors.As(err, to) }

// diary is a log that can be read while it is written.
type diary struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (d *diary) Write(line []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(line)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

// life is a node that runs until the test ends.
type life struct {
	*Node
	diary diary
	ended chan error
}

// live starts a node that has joined before, and waits until it is ready.
func live(t *testing.T, c Config) *life {
	t.Helper()
	l := &life{ended: make(chan error, 1)}
	l.Node = New(c, slog.New(slog.NewTextHandler(&l.diary, nil)))
	ctx, stop := context.WithCancel(t.Context())
	ready := make(chan struct{})
	go func() { l.ended <- l.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		stop()
		select {
		case <-l.ended:
		case <-time.After(10 * time.Second):
			t.Error("the node does not stop")
		}
	})
	select {
	case <-ready:
	case err := <-l.ended:
		l.ended <- nil
		t.Fatalf("not ready: %v", err)
	case <-time.After(10 * time.Second):
		t.Fatalf("not ready in time; told %s", &l.diary)
	}
	return l
}

// eventually waits for something that a node does in the background.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// joinedNode is a node that has joined f and was stopped.
func joinedNode(t *testing.T, f *fakeServer) Config {
	t.Helper()
	n := nodeOf(t.TempDir(), f.URL, f.token, slog.New(slog.DiscardHandler))
	if err := join(t, n); err != nil {
		t.Fatal(err)
	}
	return n.config
}

// age makes the kept certificates end in a while.
func age(t *testing.T, f *fakeServer, c Config, left time.Duration) {
	t.Helper()
	k, err := readKept(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for text, ca := range map[*string]*certs.CA{&k.Kubelet: f.clientCA, &k.KubeProxy: f.clientCA, &k.KubeletServer: f.serverCA} {
		cert, err := certs.DecodeCert([]byte(*text))
		if err != nil {
			t.Fatal(err)
		}
		*text = string(certs.EncodeCert(again(t, cert, ca, time.Now().Add(left))))
	}
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, keptFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestANodeThatHasJoinedIsReadyWithoutAServer(t *testing.T) {
	f := newFake(t, plain)
	c := joinedNode(t, f)
	f.Close()
	began := time.Now()
	n := live(t, c)
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %s", took)
	}
	clients, err := n.Clients()
	if err != nil || len(clients) != 2 || n.Cluster().ClusterDomain != "cluster.local" || len(n.Client().Certificate) == 0 {
		t.Errorf("it has %v, %v and %+v", clients, err, n.Cluster())
	}
	if name, joined := KeptName(c.Dir); name != "pi" || !joined {
		t.Errorf("its name is %q, %t", name, joined)
	}
}

func TestFilesThatWereLostAreMadeAgain(t *testing.T) {
	f := newFake(t, plain)
	c := joinedNode(t, f)
	for _, name := range []string{"client-kubelet.crt", "server-ca.crt", "kubelet.kubeconfig"} {
		if err := os.Remove(filepath.Join(c.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	n := live(t, c)
	if _, err := tls.LoadX509KeyPair(filepath.Join(c.Dir, "client-kubelet.crt"), n.KeyFile()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(n.KubeletConfig()); err != nil {
		t.Error(err)
	}
}

func TestWhenANodeJoinsAgain(t *testing.T) {
	f, other := newFake(t, plain), newFake(t, plain)
	for name, c := range map[string]struct {
		change func(t *testing.T, c *Config)
		server *fakeServer
	}{
		"what it kept is damaged": {func(t *testing.T, c *Config) {
			if err := os.WriteFile(filepath.Join(c.Dir, keptFile), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, f},
		"its key is another": {func(t *testing.T, c *Config) {
			if err := os.Remove(filepath.Join(c.Dir, "node.key")); err != nil {
				t.Fatal(err)
			}
		}, f},
		"its name is another":             {func(_ *testing.T, c *Config) { c.Name = "attic" }, f},
		"its token is of another cluster": {func(_ *testing.T, c *Config) { c.Server, c.Token = other.URL, tokenOf(other.token) }, other},
	} {
		config := joinedNode(t, f)
		before := c.server.asked(wire.PathJoin)
		c.change(t, &config)
		if err := join(t, New(config, slog.New(slog.DiscardHandler))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.server.asked(wire.PathJoin) != before+1 {
			t.Errorf("%s: it did not join", name)
		}
	}
}

func tokenOf(token wire.Token) func() (wire.Token, error) {
	return func() (wire.Token, error) { return token, nil }
}

func TestTheFirstCAIsKeptToEvenWithATokenThatNamesNone(t *testing.T) {
	f, stranger := newFake(t, plain), newFake(t, plain)
	f.token.CAHash, stranger.token.CAHash = "", ""
	c := joinedNode(t, f)
	c.Server = stranger.URL
	n := New(c, slog.New(slog.DiscardHandler))
	var err error
	if n.key, err = certs.LoadKey(n.KeyFile()); err != nil {
		t.Fatal(err)
	}
	var told *fault.Fault
	if err := n.join(t.Context(), n.restore()); !asFault(err, &told) || !strings.Contains(err.Error(), "joined before") || told.Cure() == "" {
		t.Errorf("got %v", err)
	}
	if len(stranger.sent()) > 0 {
		t.Errorf("the stranger was sent %q", stranger.sent())
	}
}

func TestCertificatesAreRenewedInPlace(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, f *fakeServer, c *Config)
		renews bool
	}{
		"when they are worn": {func(t *testing.T, f *fakeServer, c *Config) { age(t, f, *c, 60*24*time.Hour) }, true},
		"for new addresses": {func(_ *testing.T, _ *fakeServer, c *Config) {
			c.Addresses = append(c.Addresses, netip.MustParseAddr("10.0.0.77"))
		}, true},
		"not else": {func(*testing.T, *fakeServer, *Config) {}, false},
	} {
		f := newFake(t, plain)
		config := joinedNode(t, f)
		c.change(t, f, &config)
		n := live(t, config)
		path := wire.PathConfig
		if c.renews {
			path = wire.PathCertificates
		}
		eventually(t, name+": "+path+" is asked", func() bool { return f.asked(path) == 1 })
		if !c.renews {
			if f.asked(wire.PathCertificates) > 0 {
				t.Errorf("%s: renewed", name)
			}
			continue
		}
		eventually(t, name+": the newest is given", func() bool {
			serving, err := n.Serving()
			return err == nil && !certs.Expiring(serving.Leaf) && serving.Leaf.VerifyHostname(config.Addresses[len(config.Addresses)-1].String()) == nil
		})
		serving, _ := n.Serving()
		text, err := os.ReadFile(n.ServingCertFile())
		if err != nil || !bytes.Equal(text, certs.EncodeCert(serving.Leaf)) {
			t.Errorf("%s: the file has another one: %v", name, err)
		}
		if len(f.sent()) != 1 {
			t.Errorf("%s: the token was sent again", name)
		}
	}
}

func TestNewSettingsOfTheClusterAreKeptForTheNextStart(t *testing.T) {
	f := newFake(t, plain)
	c := joinedNode(t, f)
	f.setDomain("other.local")
	n := live(t, c)
	select {
	case <-n.Changed():
	case <-time.After(10 * time.Second):
		t.Fatal("nobody is told")
	}
	if n.Cluster().ClusterDomain != "cluster.local" || strings.Count(n.diary.String(), "next start") != 1 {
		t.Errorf("the node works with %+v; told %s", n.Cluster(), &n.diary)
	}
	f.Close()
	if again := live(t, c); again.Cluster().ClusterDomain != "other.local" {
		t.Errorf("the next start has %+v", again.Cluster())
	}
}

func TestBesideAServerTheNewestIsThereAtOnce(t *testing.T) {
	f := newFake(t, plain)
	c := joinedNode(t, f)
	c.Beside = true
	f.setDomain("other.local")
	if n := live(t, c); n.Cluster().ClusterDomain != "other.local" || f.asked(wire.PathJoin) != 1 {
		t.Errorf("it has %+v after %d joins", n.Cluster(), f.asked(wire.PathJoin))
	}
	c.Addresses = []netip.Addr{netip.MustParseAddr("10.0.0.77")}
	n := live(t, c)
	if serving, err := n.Serving(); err != nil || serving.Leaf.VerifyHostname("10.0.0.77") != nil {
		t.Errorf("it serves as %v, %v", serving.Leaf.IPAddresses, err)
	}
}

func refuses(status int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, body, status) })
}

func TestAReplacedNodeEnds(t *testing.T) {
	f := newFake(t, func(f *fakeServer) {
		f.renewal = refuses(http.StatusConflict, "the name is another's; to cure: rename it")
	})
	n := live(t, joinedNode(t, f))
	select {
	case err := <-n.ended:
		n.ended <- nil
		var told *fault.Fault
		if !asFault(err, &told) || told.Cure() != "rename it" {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it lives on")
	}
}

func TestANodeTheServerDoesNotKnowJoinsWithItsToken(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		f := newFake(t, func(f *fakeServer) { f.renewal = refuses(status, "who?") })
		n := live(t, joinedNode(t, f))
		eventually(t, "it joins again", func() bool { return f.asked(wire.PathJoin) == 2 })
		select {
		case err := <-n.ended:
			t.Errorf("it ended: %v", err)
			n.ended <- nil
		default:
		}
	}
}

func TestANodeWithGoodCertificatesWorksOnWhenItIsRefused(t *testing.T) {
	f := newFake(t, func(f *fakeServer) { f.renewal = refuses(http.StatusForbidden, "no record") })
	c := joinedNode(t, f)
	c.Token = tokenOf(wire.Token{CAHash: f.token.CAHash, Secret: "replaced since"})
	n := live(t, c)
	eventually(t, "it tells why", func() bool { return strings.Contains(n.diary.String(), "works on") })
	select {
	case err := <-n.ended:
		t.Errorf("it ended: %v", err)
		n.ended <- nil
	default:
	}
}

// The endpoint leads to whichever server is there.
func TestARenewalGoesThroughTheEndpointWhenTheServerIsAway(t *testing.T) {
	f := newFake(t, plain)
	c := joinedNode(t, f)
	age(t, f, c, 60*24*time.Hour)
	c.Server, c.Endpoint = "https://127.0.0.1:1", f.URL
	live(t, c)
	eventually(t, "it renews", func() bool { return f.asked(wire.PathCertificates) == 1 })
}
