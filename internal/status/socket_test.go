package status_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/status"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestTheSocketTellsTheReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.sock")
	left, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false) // as a killed process leaves it
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := status.Ask(t.Context(), path); !errors.Is(err, status.ErrNotRunning) {
		t.Errorf("a socket that was left over: %v", err)
	}
	socket, err := status.Open(path, board(mixed()))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	r, err := status.Ask(t.Context(), path)
	if err != nil || r.Condition != status.Unwell || r.Process.PID != 42 || len(r.Services) != 5 || len(r.Components) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if s := r.Services[3]; s.Name != "network" || s.Restarts != 3 || !strings.Contains(s.Error, "plug it in") || !s.Since.Equal(start) {
		t.Errorf("%+v", s)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	for route, want := range map[string]int{"/metrics": 200, "/readyz": 503, "/else": 404} {
		answer, err := client.Get("http://x" + route)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != want || want != 404 && !strings.Contains(string(text), "network") {
			t.Errorf("%s: %d\n%s", route, answer.StatusCode, text)
		}
	}
	if err := socket.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left over: %v", err)
	}
	if _, err := status.Ask(t.Context(), path); !errors.Is(err, status.ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
}

// TestAProcessThatHangsIsNamed: connections are taken by the kernel, and nobody answers.
func TestAProcessThatHangsIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.sock")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	_, err = status.Ask(ctx, path)
	var silent *status.Silent
	if !errors.As(err, &silent) || silent.PID != os.Getpid() {
		t.Errorf("got %v", err)
	}
}

func TestHowARunEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last-run.json")
	if r, err := status.LastRun(path); r != nil || err != nil {
		t.Fatalf("without a run: %v, %v", r, err)
	}
	first := board(mixed())
	end, err := first.Begin(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := status.LastRun(path)
	if err != nil || r.PID != 42 || r.How(r.Boot) != status.Killed || r.How("another") != status.CutOff || r.How("") != status.Unknown {
		t.Errorf("while it runs: %+v, %v", r, err)
	}
	if err := end(errors.New("service network: gone")); err != nil {
		t.Fatal(err)
	}
	if r, err = status.LastRun(path); err != nil || r.How("") != status.Broken || r.Error != "service network: gone" ||
		len(r.Services) != 1 || r.Services[0].Name != "network" {
		t.Errorf("after an error: %+v, %v", r, err)
	}
	second := board(nil)
	if end, err = second.Begin(path); err != nil {
		t.Fatal(err)
	}
	if before := second.Report().Before; before == nil || before.Error != "service network: gone" {
		t.Errorf("the next run does not tell of it: %+v", before)
	}
	if err := end(nil); err != nil {
		t.Fatal(err)
	}
	third := board(nil)
	if _, err := third.Begin(path); err != nil || third.Report().Before != nil {
		t.Errorf("a clean end is told of: %+v, %v", third.Report().Before, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := status.LastRun(path); r != nil || err != nil {
		t.Errorf("a damaged file: %v, %v", r, err)
	}
}
