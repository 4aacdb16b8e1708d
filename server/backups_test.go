package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A server writes down the settings that its cluster counts on, and spares the disk when they are the same as before.
func TestSettingsAreKeptForBackups(t *testing.T) {
	s := &Server{}
	s.config.DataDir, s.config.ClusterDomain = t.TempDir(), "edge.local"
	s.paths = s.config.Paths()
	file := filepath.Join(s.config.DataDir, "server", "settings.yaml")
	old := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		domain  string
		written bool
	}{{"edge.local", true}, {"edge.local", false}, {"other.local", true}} {
		s.config.ClusterDomain = c.domain
		if err := s.keepSettings(); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "cluster-domain: "+c.domain+"\n") {
			t.Errorf("there is\n%s, %v", text, err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 || info.ModTime().Equal(old) == c.written {
			t.Errorf("of %+v: %v, %v", c, info, err)
		}
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
	}
}
