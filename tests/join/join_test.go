package join

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/nodes"
	"github.com/skerry-io/skerry/server/token"
)

// wantRefused says that a node ends with a reason and a cure.
func wantRefused(t *testing.T, what string, err error, reason, cure string) {
	t.Helper()
	var told *fault.Fault
	if !errors.As(err, &told) || !strings.Contains(err.Error(), reason) || !strings.Contains(told.Cure(), cure) {
		t.Errorf("%s: got %v", what, err)
	}
}

func TestAKeyHasItsNameUntilItIsReplaced(t *testing.T) {
	c := newCluster(t)
	first, second := c.node(t, "pi"), c.node(t, "pi")
	mustStart(t, first)
	_, err := start(t, second)
	wantRefused(t, "another, while the first is joining", err, "joining right now", "skerry node replace pi")
	c.register(t, "pi")
	_, err = start(t, second)
	wantRefused(t, "another, later", err, "belongs to the Node", "skerry node replace pi")
	if entries, err := os.ReadDir(second.Dir); err != nil || len(entries) != 1 {
		t.Errorf("the refused one is half joined: %v, %v", entries, err)
	}
	if err := nodes.Forget(t.Context(), c.api, "pi"); err != nil {
		t.Fatal(err)
	}
	mustStart(t, second)

	first.Addresses = []netip.Addr{netip.MustParseAddr("10.0.0.77")}
	first.Beside = true // it asks before it is ready
	_, err = start(t, first)
	wantRefused(t, "the one that was replaced", err, "belongs to another machine", "node-name")
}

func TestTheServersOwnNodeDoesNotWaitForTheAPI(t *testing.T) {
	c := newCluster(t)
	c.setStarting(true)
	own := c.node(t, "server")
	own.Token, own.Beside = says(c.tokens.Server()), true
	mustStart(t, own)
	mustStart(t, own)
	c.setStarting(false)
	_, err := start(t, c.node(t, "kubernetes"))
	if err != nil {
		t.Errorf("a name that is not this API server's: %v", err)
	}
}

func TestAJoinWhileTheAPIStartsIsTriedAgain(t *testing.T) {
	c := newCluster(t)
	c.setStarting(true)
	late := time.AfterFunc(300*time.Millisecond, func() { c.setStarting(false) })
	defer late.Stop()
	mustStart(t, c.node(t, "pi"))
}

func TestTokens(t *testing.T) {
	c := newCluster(t)
	hash := c.tokens.Server().CAHash
	short, old := wire.NewBootstrap(hash), wire.NewBootstrap(hash)
	for made, expires := range map[wire.Token]time.Time{short: time.Now().Add(time.Hour), old: time.Now().Add(-time.Hour)} {
		id, secret, _ := made.Bootstrap()
		if err := c.api.Tracker().Add(token.Bootstrap{ID: id, Secret: secret, Expires: expires}.Object()); err != nil {
			t.Fatal(err)
		}
	}
	other := newCluster(t)
	stale := c.tokens.Server()
	status, text := c.callWith(t, c.admin(t), http.MethodPut, wire.PathToken, []byte(`{"secret":"a-new-one"}`))
	if status != http.StatusNoContent {
		t.Fatalf("the token was not changed: %d %s", status, text)
	}
	for name, given := range map[string]struct {
		token        wire.Token
		reason, cure string // none when it is good
	}{
		"the new one":        {wire.Token{CAHash: hash, Secret: "a-new-one"}, "", ""},
		"a short-lived one":  {short, "", ""},
		"the replaced one":   {stale, "it was replaced", "skerry token create"},
		"an expired one":     {old, "expired at", "skerry token create"},
		"another cluster's":  {other.tokens.Server(), "not the one this token was made by", "that server's own token file"},
		"one that is not":    {wire.Token{CAHash: hash, Secret: "wrong"}, "not one of this cluster", "skerry token create"},
		"a deleted one":      {wire.NewBootstrap(hash), "no such bootstrap token", "skerry token create"},
		"the new one, alone": {wire.Token{Secret: "a-new-one"}, "", ""},
	} {
		config := c.node(t, strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(name))
		config.Token = says(given.token)
		_, err := start(t, config)
		switch {
		case given.reason == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case given.reason != "":
			wantRefused(t, name, err, given.reason, given.cure)
		}
	}
}

func TestANodeRenewsForItsNewAddresses(t *testing.T) {
	c := newCluster(t)
	config := c.node(t, "pi")
	mustStart(t, config)
	config.Addresses = []netip.Addr{netip.MustParseAddr("10.0.0.77")}
	config.Beside = true // it asks before it is ready
	serving, err := mustStart(t, config).Serving()
	if err != nil || serving.Leaf.VerifyHostname("10.0.0.77") != nil {
		t.Errorf("it serves at %v, %v", serving.Leaf.IPAddresses, err)
	}
}

// A node's request for certificates, heard by another node, is of no use to that one.
func TestARequestForAnotherNodesNameIsRefused(t *testing.T) {
	c := newCluster(t)
	victim, thief := c.node(t, "victim"), c.node(t, "thief")
	mustStart(t, victim)
	node := mustStart(t, thief)
	key, err := certs.LoadKey(filepath.Join(victim.Dir, "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	replayed, err := json.Marshal(wire.Join{Name: "victim", Addresses: victim.Addresses, PublicKey: public})
	if err != nil {
		t.Fatal(err)
	}
	if status, text := c.call(t, node, http.MethodPost, wire.PathCertificates, replayed); status != http.StatusForbidden || strings.Contains(text, "CERTIFICATE") {
		t.Errorf("%d %s", status, text)
	}
	if status, _ := c.call(t, node, http.MethodPut, wire.PathToken, []byte(`{"secret":"mine"}`)); status != http.StatusForbidden {
		t.Errorf("a node changes the token: %d", status)
	}
	if status, text := c.call(t, node, http.MethodGet, wire.PathServers, nil); status != http.StatusOK || !strings.Contains(text, c.URL) {
		t.Errorf("the servers: %d %s", status, text)
	}
}
