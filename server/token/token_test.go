package token

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/tests/certtest"
)

func authority(t *testing.T) *x509.Certificate { return certtest.CA(t, "ca").Certificate }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// at is where a test keeps its tokens.
func at(dir string) Config {
	return Config{File: filepath.Join(dir, "server", "token"), AgentFile: filepath.Join(dir, "server", "agent-token")}
}

func mustOpen(t *testing.T, c Config, ca *x509.Certificate) *Store {
	t.Helper()
	store, err := Open(c, ca, quiet())
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, c.File, store.Server())
	return store
}

func wantFile(t *testing.T, path string, token wire.Token) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || string(text) != token.String()+"\n" {
		t.Fatalf("the file says %q, %v; the token is %s", text, err, token)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestTheTokenIsMadeOnceAndTheUsersChoiceWins(t *testing.T) {
	c, ca := at(t.TempDir()), authority(t)
	made := mustOpen(t, c, ca).Server()
	if again := mustOpen(t, c, ca).Server(); again != made {
		t.Error("a second start has another token")
	}
	c.Chosen = "hunter2"
	if chosen := mustOpen(t, c, ca).Server(); chosen.Secret != "hunter2" || !chosen.Trusts(ca) {
		t.Errorf("got %s", chosen)
	}
	c.Chosen = ""
	if kept := mustOpen(t, c, ca).Server(); kept.Secret != "hunter2" {
		t.Error("the choice is forgotten when the setting goes")
	}
	c.Chosen = made.String()
	if full := mustOpen(t, c, ca).Server(); full != made {
		t.Errorf("a full token as the choice gives %s", full)
	}
}

func TestTheFileFollowsTheAuthority(t *testing.T) {
	c, second := at(t.TempDir()), authority(t)
	made := mustOpen(t, c, authority(t)).Server()
	if now := mustOpen(t, c, second).Server(); now.Secret != made.Secret || !now.Trusts(second) {
		t.Errorf("got %s after %s", now, made)
	}
}

func TestATokenFileOfNoUse(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"is empty":        func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"is blank":        func(p string) error { return os.WriteFile(p, []byte(" \n"), 0o600) },
		"is damaged":      func(p string) error { return os.WriteFile(p, []byte("SK1abc"), 0o600) },
		"is a folder":     func(p string) error { return os.Mkdir(p, 0o700) },
		"leads to itself": func(p string) error { return os.Symlink(p, p) },
	} {
		path := filepath.Join(t.TempDir(), "token")
		if err := harm(path); err != nil {
			t.Fatal(err)
		}
		_, err := Open(Config{File: path}, authority(t), quiet())
		var told *fault.Fault
		if !errors.As(err, &told) || !strings.Contains(err.Error(), path) || strings.Count(err.Error(), "to cure") != 1 {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, c := range map[string]Config{"token": {Chosen: "SK1"}, "agent-token": {Agent: "SK1"}} {
		c.File = filepath.Join(t.TempDir(), "token")
		if _, err := Open(c, authority(t), quiet()); err == nil {
			t.Errorf("a damaged %s is taken", name)
		}
	}
}

func TestAgentsHaveATokenOfTheirOwnWhileItIsSet(t *testing.T) {
	c, ca := at(t.TempDir()), authority(t)
	c.Agent = "for-agents"
	store := mustOpen(t, c, ca)
	wantFile(t, c.AgentFile, store.Agent())
	for _, secret := range []string{"for-agents", store.Server().Secret} {
		if err := store.Check(t.Context(), nil, secret); err != nil {
			t.Errorf("%q: %v", secret, err)
		}
	}
	if !store.IsServer(store.Server().Secret) || store.IsServer("for-agents") {
		t.Error("the agent token passes for the server token")
	}
	c.Agent = ""
	store = mustOpen(t, c, ca)
	if err := store.Check(t.Context(), nil, "for-agents"); err == nil {
		t.Error("the agent token outlives its setting")
	}
	if _, err := os.Stat(c.AgentFile); err == nil {
		t.Error("its file as well")
	}
	if store.Agent() != store.Server() {
		t.Error("without a token of their own agents do not join with the server's")
	}
}

func TestCheckRefusesWithACure(t *testing.T) {
	store := mustOpen(t, at(t.TempDir()), authority(t))
	secret := store.Server().Secret
	for _, given := range []string{"", "wrong", secret[1:], secret + "x", strings.ToLower(secret)} {
		err := store.Check(t.Context(), fake.NewClientset(), given)
		var told *fault.Fault
		if !errors.As(err, &told) || !strings.Contains(told.Cure(), "skerry token create") {
			t.Errorf("%q: got %v", given, err)
		}
		if err != nil && given != "" && strings.Contains(err.Error(), given) {
			t.Errorf("the refusal shows the secret %q", given)
		}
	}
}

func TestChange(t *testing.T) {
	c, ca := at(t.TempDir()), authority(t)
	c.Chosen = "from-the-settings"
	store := mustOpen(t, c, ca)
	if err := store.Change("  new-one\n"); err != nil {
		t.Fatal(err)
	}
	wantFile(t, c.File, wire.Token{CAHash: certs.Fingerprint(ca), Secret: "new-one"})
	for given, want := range map[string]bool{"new-one": true, "from-the-settings": false} {
		if got := store.Check(t.Context(), nil, given) == nil; got != want {
			t.Errorf("%s: taken %t", given, got)
		}
	}
	var out bytes.Buffer
	again, err := Open(c, ca, slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil || again.Server().Secret != "new-one" || strings.Count(out.String(), "level=WARN") != 1 {
		t.Errorf("after a restart the token is %s, %v, told %s: the replaced one must not come back", again.Server(), err, &out)
	}
	c.Chosen = "third"
	if third := mustOpen(t, c, ca).Server(); third.Secret != "third" {
		t.Errorf("another choice does not win: %s", third)
	}
	if err := store.Change(store.Server().String()); err != nil || store.Server().Secret != "new-one" {
		t.Errorf("the same token again: %v", err)
	}
	wantReplaced(t, c, "from-the-settings")
}

func wantReplaced(t *testing.T, c Config, secret string) {
	t.Helper()
	text, err := os.ReadFile(c.File + ".replaced")
	if err != nil || string(text) != digest(secret)+"\n" {
		t.Errorf("the replaced token is remembered as %q, %v", text, err)
	}
}

func TestASecretThatCannotBeAToken(t *testing.T) {
	store := mustOpen(t, at(t.TempDir()), authority(t))
	before := store.Server()
	for name, text := range map[string]string{
		"nothing": " ", "two words": "a b", "a line end inside": "a\nb", "letters of another script": "geheimnís",
		"too long": strings.Repeat("x", maxSecret+1), "damaged": "SK1abc", "another cluster's": wire.NewToken(authority(t)).String(),
	} {
		var told *fault.Fault
		if err := store.Change(text); !errors.As(err, &told) || told.Cure() == "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if store.Server() != before {
		t.Error("the token has changed all the same")
	}
}

func TestAChangeThatCannotBeWrittenChangesNothing(t *testing.T) {
	c := at(t.TempDir())
	store := mustOpen(t, c, authority(t))
	before := store.Server()
	if err := os.RemoveAll(filepath.Dir(c.File)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Dir(c.File), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.Change("new-one"); err == nil || store.Server() != before {
		t.Errorf("got %v and %s", err, store.Server())
	}
}

func TestNoAPIToAsk(t *testing.T) {
	store := mustOpen(t, at(t.TempDir()), authority(t))
	if err := store.Check(context.Background(), nil, "abcdef.0123456789abcdef"); !errors.Is(err, ErrNoAPI) {
		t.Errorf("got %v", err)
	}
}

func TestTheFilesOfSeveralServersCount(t *testing.T) {
	ca, c := authority(t), at(t.TempDir())
	c.Chosen, c.Agent = "one", "agents"
	mustOpen(t, c, ca)
	c.Chosen, c.Agent, c.Shared = "another", "", true
	s := mustOpen(t, c, ca)
	if s.Server().Secret != "one" || s.Agent().Secret != "agents" {
		t.Errorf("the tokens are %s and %s", s.Server().Secret, s.Agent().Secret)
	}
	// Another server changes both.
	for file, text := range map[string]string{c.File: "two", c.AgentFile: "others"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if !s.IsServer("two") || s.IsServer("one") || s.Agent().Secret != "others" {
		t.Errorf("the tokens are %s and %s", s.Server().Secret, s.Agent().Secret)
	}
	c.Chosen, c.Shared = "one", false
	if s := mustOpen(t, c, ca); s.IsServer("one") {
		t.Error("the token that was replaced came back by the settings")
	}
	if err := s.Reload(); err != nil || s.Agent().Secret != "two" { // the settings of that start have removed the agent token's file
		t.Errorf("agents join with %s, %v", s.Agent().Secret, err)
	}
	if err := os.WriteFile(c.File, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil {
		t.Error("an empty file is taken for a token")
	}
}
