package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/payload"
)

// packed makes a bin/skerry with a script for the real program.
func packed(t *testing.T, script string) string {
	t.Helper()
	tree := t.TempDir()
	if err := os.MkdirAll(filepath.Join(tree, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{program: script, "bin/crictl": "echo\n"} {
		if err := os.WriteFile(filepath.Join(tree, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(t.TempDir(), "skerry")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	compress, err := payload.Quickly()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(binary, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := (payload.Packing{Compress: compress, Later: []string{"bin/crictl"}}).Write(f, tree); err != nil {
		t.Fatal(err)
	}
	return binary
}

func TestTheProgramGetsWhatTheLauncherWasGiven(t *testing.T) {
	binary, dataDir := packed(t, "echo \"$GREETING $*\"; exit 7\n"), t.TempDir()
	for range 2 { // unpacks, then only runs
		var out bytes.Buffer
		c := exec.Command(binary, "server", "--data-dir", dataDir, "a b")
		c.Env = append(os.Environ(), "GREETING=hello")
		c.Stdout, c.Stderr = &out, &out
		c.Run()
		if got := out.String(); got != "hello server --data-dir "+dataDir+" a b\n" || c.ProcessState.ExitCode() != 7 {
			t.Errorf("it printed %q and ended with %d", got, c.ProcessState.ExitCode())
		}
	}
}

func TestALauncherWithoutAnArchiveSaysSo(t *testing.T) {
	whole, err := os.ReadFile(packed(t, "echo\n"))
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(t.TempDir(), "skerry")
	if err := os.WriteFile(half, whole[:len(whole)-10], 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(half, "version").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "download or build it again") {
		t.Errorf("it printed %q (%v)", out, err)
	}
}

func TestPrepareGoesToTheNextPlaceThatMayBeWritten(t *testing.T) {
	p, err := payload.Open(packed(t, "echo\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	closed, open := payload.Store{Dir: "/sys/skerry/data"}, payload.Store{Dir: filepath.Join(t.TempDir(), "data")}
	place, err := prepare(p, []payload.Store{closed, open}, "")
	if err != nil || place != filepath.Join(open.Dir, p.ID(), program) {
		t.Errorf("prepared %q (%v)", place, err)
	}
	if place, err = prepare(p, []payload.Store{closed}, ""); err != nil || !strings.HasPrefix(place, "/proc/self/fd/") {
		t.Errorf("with no place on disk: prepared %q (%v), want a file in memory", place, err)
	}
}

func TestCrictlIsUnpackedWhenItIsAskedFor(t *testing.T) {
	binary, dataDir := packed(t, "ls \"$(dirname \"$0\")\"\n"), t.TempDir()
	for _, c := range []struct{ args, want string }{
		{"--data-dir " + dataDir + " server", "skerry\n"},
		{"--data-dir " + dataDir + " kubectl crictl", "skerry\n"},
		{"--data-dir " + dataDir + " crictl ps", "crictl\nskerry\n"},
		{"--data-dir " + dataDir + " server", "crictl\nskerry\n"},
	} {
		out, err := exec.Command(binary, strings.Fields(c.args)...).CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("%s: it printed %q (%v), want %q", c.args, out, err, c.want)
		}
	}
}
