package certs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func savedPair(t *testing.T) (Pair, *CA) {
	t.Helper()
	ca := mustCA(t, "ca")
	pair := Pair{filepath.Join(t.TempDir(), "tls", "ca")}
	if err := pair.Save(ca.Certificate, ca.Key); err != nil {
		t.Fatal(err)
	}
	return pair, ca
}

func TestPairComesBackAndItsKeyIsPrivate(t *testing.T) {
	pair, ca := savedPair(t)
	cert, key, err := pair.Load()
	if err != nil || !cert.Equal(ca.Certificate) || !key.Equal(ca.Key) {
		t.Fatalf("got other files than were saved: %v", err)
	}
	for path, want := range map[string]fs.FileMode{pair.KeyFile(): 0o600, pair.CertFile(): 0o644, filepath.Dir(pair.Base): 0o700 | fs.ModeDir} {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

func TestPairWithSomethingWrong(t *testing.T) {
	change := func(path func(Pair) string, content string) func(*testing.T, Pair) {
		return func(t *testing.T, p Pair) {
			if err := os.WriteFile(path(p), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(paths ...func(Pair) string) func(*testing.T, Pair) {
		return func(t *testing.T, p Pair) {
			for _, path := range paths {
				if err := os.Remove(path(p)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for name, c := range map[string]struct {
		harm func(*testing.T, Pair)
		is   error
		want string
	}{
		"both are gone":                      {remove(Pair.CertFile, Pair.KeyFile), ErrNoPair, "neither"},
		"the certificate is gone":            {remove(Pair.CertFile), ErrNoCert, "ca.key"},
		"the key is gone":                    {remove(Pair.KeyFile), fs.ErrNotExist, "ca.key"},
		"the certificate is damaged":         {change(Pair.CertFile, "x"), nil, "ca.crt: no certificate"},
		"the key is damaged":                 {change(Pair.KeyFile, "x"), nil, "ca.key: no private key"},
		"the certificate is an empty file":   {change(Pair.CertFile, ""), nil, "ca.crt"},
		"the key belongs to another":         {foreignKey, nil, "does not belong to"},
		"the certificate's name is a folder": {folder, nil, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			pair, _ := savedPair(t)
			c.harm(t, pair)
			_, _, err := pair.Load()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			for _, special := range []error{ErrNoPair, ErrNoCert} {
				if errors.Is(err, special) != (c.is == special) {
					t.Errorf("%v is taken for %q", err, special)
				}
			}
		})
	}
}

func foreignKey(t *testing.T, p Pair) {
	if err := os.Remove(p.KeyFile()); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(p.KeyFile()); err != nil {
		t.Fatal(err)
	}
}

func folder(t *testing.T, p Pair) {
	if err := errors.Join(os.Remove(p.CertFile()), os.Mkdir(p.CertFile(), 0o700)); err != nil {
		t.Fatal(err)
	}
}

func TestLoadKeyMakesItOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "node.key")
	made, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadKey(path)
	if err != nil || !again.Equal(made) {
		t.Errorf("a second load gives another key: %v", err)
	}
	if err := os.WriteFile(path, []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged key: got %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "-----BEGIN" {
		t.Error("a damaged key was replaced")
	}
}
