package join

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/entry"
	"github.com/skerry-io/skerry/server/pki"
	"github.com/skerry-io/skerry/server/shared"
	"github.com/skerry-io/skerry/server/token"
)

// placeIn is a server's directory.
func placeIn(dir string) shared.Place { return shared.Place{Dir: dir, Names: config.Paths{}.Shared()} }

// Enter gives what the cluster has to a further server.
func (c *cluster) Enter(context.Context, string, string) (wire.ServerEntered, error) {
	if c.refuse != nil {
		return wire.ServerEntered{}, c.refuse
	}
	files, err := c.place.Read()
	return wire.ServerEntered{Files: files, Members: []string{"https://10.0.0.1:2379"}}, err
}

// Leave is for commands, which this cluster has none of.
func (c *cluster) Leave(context.Context, string) error { return errors.ErrUnsupported }

// further is what a machine would enter the cluster with.
func (c *cluster) further(t *testing.T, dir string, with wire.Token) (members []string, err error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 4*time.Second)
	defer stop()
	return entry.Enter(ctx, entry.Config{Server: c.URL, Token: with, Name: "second", Cluster: wire.Cluster{ClusterDomain: "cluster.local"},
		Place: placeIn(dir), Log: slog.New(slog.DiscardHandler)})
}

func filesIn(t *testing.T, dir string) shared.Files {
	t.Helper()
	files, err := placeIn(dir).Read()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAFurtherServerHasWhatTheFirstHas(t *testing.T) {
	c, dir := newCluster(t), t.TempDir()
	for range 2 { // the second time as after a power cut
		members, err := c.further(t, dir, c.tokens.Server())
		if err != nil || len(members) != 1 {
			t.Fatalf("%v, %v", members, err)
		}
	}
	theirs, err := c.place.Read()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range filesIn(t, dir) {
		if string(theirs[name]) != string(text) {
			t.Errorf("%s is another one", name)
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || !strings.HasSuffix(name, ".crt") && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	second, err := pki.Open(filepath.Join(dir, "tls"), pki.Names{DNS: []string{"second"}, IPs: []netip.Addr{netip.MustParseAddr("10.0.0.2")}}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if !second.ServerCA.Certificate.Equal(c.pki.ServerCA.Certificate) || !second.ServiceAccountKey.Equal(c.pki.ServiceAccountKey) {
		t.Error("it has authorities of its own")
	}
	tokens, err := token.Open(token.Config{File: filepath.Join(dir, "token"), AgentFile: filepath.Join(dir, "agent-token"), Shared: true}, second.ServerCA.Certificate, quiet)
	if err != nil || tokens.Server() != c.tokens.Server() {
		t.Errorf("its token is another one: %v", err)
	}
}

func TestWhoIsNoServer(t *testing.T) {
	c := newCluster(t)
	server := c.tokens.Server()
	if err := os.WriteFile(filepath.Join(c.place.Dir, "agent-token"), []byte("for-agents"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.tokens.Reload(); err != nil {
		t.Fatal(err)
	}
	for what, with := range map[string]wire.Token{
		"not one of this cluster":                {CAHash: server.CAHash, Secret: "wrong"},
		"this one is for agents":                 {CAHash: server.CAHash, Secret: "for-agents"},
		"does not say which cluster made it":     {Secret: server.Secret},
		"not one of the cluster that this token": {CAHash: strings.Repeat("0", 64), Secret: c.tokens.Server().Secret},
	} {
		dir := t.TempDir()
		_, err := c.further(t, dir, with)
		wantRefused(t, what, err, what, "token")
		if files := filesIn(t, dir); len(files) > 0 {
			t.Errorf("%s: it is half a server", what)
		}
	}
}

func TestAMachineWithAClusterOfItsOwnIsLeftAsItIs(t *testing.T) {
	c, own := newCluster(t), newCluster(t)
	before := filesIn(t, own.place.Dir)
	_, err := c.further(t, own.place.Dir, c.tokens.Server())
	wantRefused(t, "a server of its own", err, "holds a cluster of its own", "skerry reset")
	for name, text := range filesIn(t, own.place.Dir) {
		if string(before[name]) != string(text) {
			t.Errorf("%s was replaced", name)
		}
	}
}

func TestWhatKeepsAServerOut(t *testing.T) {
	c := newCluster(t)
	c.refuse = fault.New("the cluster is full").Fix("make it smaller")
	_, err := c.further(t, t.TempDir(), c.tokens.Server())
	wantRefused(t, "a refusal", err, "the cluster is full", "make it smaller")
	c.refuse = errors.New("the datastore is starting")
	if _, err = c.further(t, t.TempDir(), c.tokens.Server()); err == nil || !strings.Contains(err.Error(), http.StatusText(http.StatusServiceUnavailable)) {
		t.Errorf("a server that is starting: %v", err)
	}
	c.refuse = nil
	_, err = entry.Enter(t.Context(), entry.Config{Server: c.URL, Token: c.tokens.Server(), Name: "second", Cluster: wire.Cluster{ClusterDomain: "other.local"},
		Place: placeIn(t.TempDir()), Log: slog.New(slog.DiscardHandler)})
	wantRefused(t, "other settings", err, "clusterDomain is cluster.local there and other.local here", "the same on all servers")
	_, err = entry.Enter(t.Context(), entry.Config{Server: c.URL, Token: c.tokens.Server(), Name: "server", Place: placeIn(t.TempDir()), Log: slog.New(slog.DiscardHandler)})
	wantRefused(t, "the name of the first", err, "that of the server that was asked", "node-name")
}
