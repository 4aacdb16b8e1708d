package testhost

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Lab is a set of hosts on one bridge, made for one test. Those of parallel tests are open side by side and know nothing of each other; of
// several test binaries on a machine one at a time has labs, and New waits for the other, unless $SKT_TURN has the same value for both.
type Lab struct {
	t     testing.TB
	id    string // skt-xxxxxx, the name of everything the lab makes
	dir   string // disks of the hosts
	logs  string // kept when the test fails
	net   *bridge
	hosts []*Host
	diag  []func(*Host) string
}

// New opens a lab that ends with the test. It skips the test, with the reason, where hosts cannot be made.
func New(t testing.TB) *Lab {
	t.Helper()
	if reason := cannot(); reason != "" {
		t.Skip("no test hosts here: " + reason)
	}
	var random [3]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	l := &Lab{t: t, id: "skt-" + hex.EncodeToString(random[:])}
	l.dir = filepath.Join(os.TempDir(), l.id)
	l.logs = logFolder(t)

	turn, err := takeTurn(t)
	l.must(err, "take a turn on this machine")
	t.Cleanup(func() {
		if err := turn.end(); err != nil {
			t.Errorf("machine-wide sysctls: %v", err)
		}
	})
	l.must(os.MkdirAll(l.dir, 0o755), "make the lab's folder")
	l.must(os.RemoveAll(l.logs), "empty the log folder")
	l.must(os.MkdirAll(l.logs, 0o755), "make the log folder")
	t.Cleanup(l.close)

	l.net, err = newBridge()
	l.must(err, "make the bridge")
	return l
}

// Logs is the folder where the output of everything that runs in the hosts goes.
func (l *Lab) Logs() string { return l.logs }

// alone says that no other lab is on this machine, nor what is left of one.
func (l *Lab) alone() bool { return len(openLabs()) == 1 }

// Hosts lists the hosts in the order they were made.
func (l *Lab) Hosts() []*Host { return l.hosts }

// OnFailure adds a report that is written for each running host when the test fails.
func (l *Lab) OnFailure(report func(*Host) string) { l.diag = append(l.diag, report) }

// Eventually fails the test unless check returns nil within timeout. It says what was waited for and the last error.
func Eventually(t testing.TB, timeout time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %v until %s: %v", timeout, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (l *Lab) must(err error, what string) {
	l.t.Helper()
	if err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
}

func (l *Lab) close() {
	if l.t.Failed() {
		l.collect()
		l.t.Logf("logs of the hosts are kept in %s", l.logs)
	}
	for _, h := range l.hosts {
		if h.Up() {
			h.PowerCut()
		}
		h.router.close()
	}
	if l.net != nil {
		l.net.close()
	}
	if err := remove(l.dir, l.id); err != nil {
		l.t.Errorf("the lab left something behind: %v", err)
	}
	if !l.t.Failed() {
		_ = os.RemoveAll(l.logs)
	}
}

func logFolder(t testing.TB) string {
	top := os.Getenv("SKERRY_TEST_LOGS")
	if top == "" {
		top = filepath.Join(os.TempDir(), "skerry-test-logs")
	}
	return filepath.Join(top, strings.ReplaceAll(t.Name(), "/", "_"))
}

// cannot says why hosts cannot be made on this machine, empty when they can.
func cannot() string {
	if os.Geteuid() != 0 {
		return "needs root"
	}
	if os.Getenv(mainRan) == "" {
		return "the package's TestMain does not call testhost.Main"
	}
	if err := cgroupsWritable(); err != nil {
		return fmt.Sprintf("cgroups cannot be made: %v", err)
	}
	return ""
}
