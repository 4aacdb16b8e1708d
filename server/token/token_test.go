package token

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

func authority(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	ca, err := certs.NewCA("ca", key)
	if err != nil {
		t.Fatal(err)
	}
	return ca.Certificate
}

func mustOpen(t *testing.T, path, chosen string, ca *x509.Certificate) wire.Token {
	t.Helper()
	token, err := Open(path, chosen, ca)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != token.String()+"\n" {
		t.Fatalf("the file says %q, %v; the token is %s", text, err, token)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	return token
}

func TestTheTokenIsMadeOnceAndTheUsersChoiceWins(t *testing.T) {
	path, ca := filepath.Join(t.TempDir(), "server", "token"), authority(t)
	made := mustOpen(t, path, "", ca)
	if again := mustOpen(t, path, "", ca); again != made {
		t.Error("a second start has another token")
	}
	if chosen := mustOpen(t, path, "hunter2", ca); chosen.Secret != "hunter2" || !chosen.Trusts(ca) {
		t.Errorf("got %s", chosen)
	}
	if kept := mustOpen(t, path, "", ca); kept.Secret != "hunter2" {
		t.Error("the choice is forgotten when the setting goes")
	}
	if full := mustOpen(t, path, made.String(), ca); full != made {
		t.Errorf("a full token as the choice gives %s", full)
	}
}

func TestTheFileFollowsTheAuthority(t *testing.T) {
	path, second := filepath.Join(t.TempDir(), "token"), authority(t)
	made := mustOpen(t, path, "", authority(t))
	if now := mustOpen(t, path, "", second); now.Secret != made.Secret || !now.Trusts(second) {
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
		_, err := Open(path, "", authority(t))
		var told *fault.Fault
		if !errors.As(err, &told) || !strings.Contains(err.Error(), path) || strings.Count(err.Error(), "to cure") != 1 {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "token"), "SK1", authority(t)); err == nil {
		t.Error("a damaged choice is taken")
	}
}

func TestMatch(t *testing.T) {
	token := wire.Token{Secret: "secret"}
	for given, want := range map[string]bool{"secret": true, "": false, "secre": false, "secrets": false, "Secret": false} {
		if Match(token, given) != want {
			t.Errorf("%q: %t", given, !want)
		}
	}
}
