package install_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/tests/testhost"
)

func TestMain(m *testing.M) { testhost.Main(m) }

const (
	port         = "127.0.0.1:8099"
	binary       = "/usr/local/bin/skerry"
	systemctlLog = "/var/log/systemctl.log"
	script       = "/root/install.sh"
	// standIn says what it was called with.
	standIn = "#!/bin/sh\necho \"called: $*\"\n"
)

// artifact is the name of the program in a release.
func artifact() string { return "skerry-" + runtime.GOARCH }

// host is a throw-away host with a web server of its own and the installer.
type host struct {
	*testhost.Host
	t   *testing.T
	web *http.ServeMux
}

// newHost makes a host with install.sh in /root. With systemd, it has a systemctl that only writes down how it was called.
func newHost(t *testing.T, systemd bool) host {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make a throw-away host")
	}
	h := host{Host: testhost.New(t).Host("pi"), t: t, web: http.NewServeMux()}
	text, err := os.ReadFile("../../install.sh")
	if err != nil {
		t.Fatal(err)
	}
	h.program(script, string(text))
	if systemd {
		h.program("/usr/local/bin/systemctl", "#!/bin/sh\necho \"$*\" >>"+systemctlLog+"\n")
		h.must("mkdir", "-p", "/run/systemd/system", "/etc/systemd/system")
	}
	server := &http.Server{Handler: h.web, ReadHeaderTimeout: 10 * time.Second}
	listener := h.Listen(port)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // always: closed
	}()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return h
}

// program writes an executable file.
func (h host) program(path, text string) {
	h.t.Helper()
	h.Write(path, []byte(text))
	h.must("chmod", "0755", path)
}

// serve puts a release with this program on the web server.
func (h host) serve(program []byte) {
	h.web.HandleFunc("/release/"+artifact(), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(program) })
	h.web.HandleFunc("/release/sha256sum.txt", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(sums(program)))
	})
}

// sums is the checksum file of a release.
func sums(program []byte) string {
	return fmt.Sprintf("%x  skerry-other\n%x  %s\n", sha256.Sum256(nil), sha256.Sum256(program), artifact())
}

// try runs a program with more variables and gives all that it printed.
func (h host) try(environ []string, args ...string) (string, error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	command := append([]string{"env"}, environ...)
	out, err := h.Run(ctx, append(command, args...)...)
	if err != nil {
		out += err.Error()
	}
	return out, err
}

func (h host) must(args ...string) string {
	h.t.Helper()
	out, err := h.try(nil, args...)
	if err != nil {
		h.t.Fatalf("%v: %s", args, out)
	}
	return out
}

// fails runs a program that has to fail, with every one of the words in what it prints, and to change nothing.
func (h host) fails(environ, words []string, args ...string) {
	h.t.Helper()
	before := h.Snapshot()
	out, err := h.try(environ, args...)
	if err == nil {
		h.t.Errorf("%v succeeded:\n%s", args, out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			h.t.Errorf("%v does not say %q:\n%s", args, w, out)
		}
	}
	h.same(before)
}

// same compares the host with what it was.
func (h host) same(before testhost.Snapshot) {
	h.t.Helper()
	changes := slices.DeleteFunc(h.Snapshot().Since(before), func(line string) bool {
		return strings.Contains(line, systemctlLog) || strings.Contains(line, "process ")
	})
	if len(changes) > 0 {
		h.t.Errorf("the host is not as it was:\n%s", strings.Join(changes, "\n"))
	}
}

// download is the environment of an installation from the host's web server.
func download(more ...string) []string {
	return append([]string{"INSTALL_SKERRY_ARTIFACT_URL=http://" + port + "/release/"}, more...)
}

// systemctl gives how systemctl was called since the last time it was asked.
func (h host) systemctl() []string {
	h.t.Helper()
	text, err := h.Read(systemctlLog)
	if err != nil {
		return nil
	}
	h.Write(systemctlLog, nil)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// fetcher is what this machine has to download with, or the test is skipped.
func fetcher(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"curl", "wget"} {
		if _, err := exec.LookPath(name); err == nil {
			return name
		}
	}
	t.Skip("neither curl nor wget is here to download with")
	return ""
}

// needs skips a test on a machine without the program.
func needs(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("no %s here", name)
	}
}

// real is the program under test, or the test is skipped.
func real(t *testing.T) []byte {
	t.Helper()
	path := os.Getenv("SKERRY_BIN")
	if path == "" {
		path = "../../bin/skerry"
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("no program to install: %v; `make build` makes it", err)
	}
	return program
}
