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
	if err := os.WriteFile(filepath.Join(tree, program), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
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
	if err := payload.Write(f, tree, compress); err != nil {
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
	place, err := prepare(p, []payload.Store{closed, open})
	if err != nil || place != filepath.Join(open.Dir, p.ID(), program) {
		t.Errorf("prepared %q (%v)", place, err)
	}
	if place, err = prepare(p, []payload.Store{closed}); err != nil || !strings.HasPrefix(place, "/proc/self/fd/") {
		t.Errorf("with no place on disk: prepared %q (%v), want a file in memory", place, err)
	}
}
