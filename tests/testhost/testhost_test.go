package testhost_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skerry-io/skerry/tests/testhost"
)

func TestMain(m *testing.M) { testhost.Main(m) }

// panicSysctl belongs to the whole machine, and may be set without harm.
const panicSysctl = "/proc/sys/kernel/panic"

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// serve answers every request to port 8080 of the host until the test ends.
func serve(t *testing.T, h *testhost.Host) {
	listener := h.Listen("0.0.0.0:8080")
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	done := make(chan error)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// fetch asks the server of a host from another host.
func fetch(from, to *testhost.Host) error {
	client := from.HTTP()
	client.Timeout = time.Second
	resp, err := client.Get(fmt.Sprintf("http://%s:8080/", to.Address()))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

func TestHostsReachEachOtherAndNothingElse(t *testing.T) {
	lab := testhost.New(t)
	a, b := lab.Host("a"), lab.Host("b")
	serve(t, b)
	b.Eventually(10*time.Second, "its web server answers host a", func() error { return fetch(a, b) })

	t.Run("no way out", func(t *testing.T) {
		client := a.HTTP()
		client.Timeout = time.Second
		if _, err := client.Get("http://192.0.2.1/"); err == nil {
			t.Error("an address outside the lab answered")
		}
	})
	t.Run("a pulled cable is noticed and can be put back", func(t *testing.T) {
		b.Unplug()
		if fetch(a, b) == nil {
			t.Error("host b answers without its cable")
		}
		b.Plug()
		b.Eventually(10*time.Second, "host b answers again", func() error { return fetch(a, b) })
	})
	t.Run("two hosts are cut from each other", func(t *testing.T) {
		lab.Cut(a, b)
		if fetch(a, b) == nil {
			t.Error("host b answers host a through the cut")
		}
		if _, err := lab.Dial(within(t, time.Second), "tcp", b.Address()+":8080"); err != nil {
			t.Errorf("host b is cut from the bridge too: %v", err)
		}
		lab.Mend(a, b)
		b.Eventually(10*time.Second, "host b answers host a again", func() error { return fetch(a, b) })
	})
	t.Run("a tap sees who spoke", func(t *testing.T) {
		tap := a.Tap(b.Address() + "/32")
		if err := fetch(a, b); err != nil {
			t.Fatal(err)
		}
		a.Eventually(5*time.Second, "the tap has the packets", func() error {
			if len(tap.Seen()) == 0 {
				return errors.New("nothing seen")
			}
			return nil
		})
	})
}

func TestPowerCutKillsEverythingAndKeepsTheDisk(t *testing.T) {
	lab := testhost.New(t)
	h := lab.Host("a", testhost.Disk(64<<20))
	h.Write("/var/lib/kept", []byte("yes"))
	sleeper := h.Start("sh", "-c", "sleep 1000 & setsid sleep 2000 & echo started; wait")
	h.Eventually(5*time.Second, "the sleepers sleep", func() error {
		if len(h.Processes()) < 4 || !strings.Contains(sleeper.Output(), "started") {
			return fmt.Errorf("processes: %q", h.Processes())
		}
		return nil
	})
	hardware := read(t, h.Path("/sys/class/net/eth0/address"))
	h.PowerCut()
	if sleeper.Running() {
		t.Error("a program outlived the power cut")
	}
	if text, err := h.Read("/var/lib/kept"); err != nil || string(text) != "yes" {
		t.Errorf("the disk while off: %q, %v", text, err)
	}
	h.Boot()
	if all := h.Processes(); len(all) != 1 {
		t.Errorf("processes after the boot: %q", all)
	}
	if now := read(t, h.Path("/sys/class/net/eth0/address")); now != hardware {
		t.Errorf("its network card was %sand is %s", hardware, now)
	}
	if text, err := h.Run(within(t, 5*time.Second), "cat", "/var/lib/kept"); err != nil || text != "yes" {
		t.Errorf("the disk after the boot: %q, %v", text, err)
	}
}

func TestHostIsAMachineOfItsOwn(t *testing.T) {
	program := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho hello $GREETED\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	lab := testhost.New(t)
	h := lab.Host("a", testhost.Hostname("MyBox"), testhost.NoDefaultRoute(), testhost.Program("hello", program),
		testhost.Env("GREETED=world"), testhost.ReadOnly("/proc/sys/net/ipv4"), testhost.Disk(8<<20))
	for _, c := range []struct{ what, command, want string }{
		{"its hostname is the one given", "hostname", "MyBox\n"},
		{"its first process is number 1", "readlink /proc/1/exe >/dev/null && echo $(($$ > 1))", "1\n"},
		{"it has the program and the environment", "hello", "hello world\n"},
		{"it has no default route", "grep -c '^eth0.00000000' /proc/net/route", "0\n"},
		{"it finds no other host's files", "ls /tmp /root /var/lib /opt", "/opt:\n\n/root:\n\n/tmp:\n\n/var/lib:\n"},
		{"its groups start at its own root", "grep -c skt- /proc/self/cgroup", "0\n"},
		{"its read-only sysctls refuse", "echo 1 2>/dev/null >/proc/sys/net/ipv4/ip_forward || echo refused", "refused\n"},
		{"its disk can be full", "head -c 20000000 /dev/zero 2>/dev/null >/var/lib/x || echo full", "full\n"},
		{"its mounts are shared with what it starts", "grep -c ' / / .*shared' /proc/self/mountinfo", "1\n"},
		{"it opens as many files as the machine allows", "test $(ulimit -n) = $(ulimit -Hn) && echo yes", "yes\n"},
	} {
		t.Run(c.what, func(t *testing.T) {
			out, _ := h.Run(within(t, 10*time.Second), "sh", "-c", c.command)
			if out != c.want {
				t.Errorf("%s: %q, want %q", c.command, out, c.want)
			}
		})
	}
	t.Run("a failed program's error has its words", func(t *testing.T) {
		_, err := h.Run(within(t, 10*time.Second), "sh", "-c", "echo why >&2; exit 3")
		if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(err.Error(), "why") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a polite signal ends a program and not the host", func(t *testing.T) {
		p := h.Start("sleep", "1000")
		if err := p.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(5 * time.Second); err == nil || p.Running() {
			t.Errorf("ended with %v", err)
		}
		if _, err := h.Run(within(t, 5*time.Second), "kill", "-TERM", "1"); err != nil {
			t.Error(err)
		}
		if _, err := h.Run(within(t, 5*time.Second), "true"); err != nil {
			t.Errorf("after TERM to PID 1: %v", err)
		}
	})
}

// TestNobodySetsTheClock: it is the machine's.
func TestNobodySetsTheClock(t *testing.T) {
	h := testhost.New(t).Host("a")
	status, err := h.Run(within(t, 10*time.Second), "cat", "/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	const setTime = 1 << 25
	for _, set := range []string{"CapBnd:", "CapPrm:", "CapEff:"} {
		_, rest, _ := strings.Cut(status, set)
		var has uint64
		if _, err := fmt.Sscanf(rest, "%x", &has); err != nil || has == 0 || has&setTime != 0 {
			t.Errorf("%s %x, %v", set, has, err)
		}
	}
}

func TestSnapshotFindsChanges(t *testing.T) {
	lab := testhost.New(t)
	h := lab.Host("a")
	before := h.Snapshot()
	if again := h.Snapshot().Since(before); len(again) > 0 {
		t.Errorf("changes of an idle host: %q", again)
	}
	if _, err := h.Run(within(t, 10*time.Second), "sh", "-c",
		"ip link add x0 type bridge; ip route add unreachable 10.99.0.0/16; echo >/etc/x; mkdir -p /run/m; mount -t tmpfs m /run/m; echo 1 >/proc/sys/net/ipv4/ip_forward; mkdir /sys/fs/cgroup/x /sys/fs/cgroup/pids/x 2>/dev/null || true"); err != nil {
		t.Fatal(err)
	}
	changes := strings.Join(h.Snapshot().Since(before), "\n")
	for _, want := range []string{"+ link x0 bridge", "10.99.0.0/16", "+ file /etc/x ", "+ mount /run/m", "sysctl net/ipv4/ip_forward = 1", "+ cgroup "} {
		if !strings.Contains(changes, want) {
			t.Errorf("the snapshot misses %q; it has\n%s", want, changes)
		}
	}
}

func TestSnapshotTellsOfTheMachineOnlyForALoneHost(t *testing.T) {
	lab := testhost.New(t)
	h := lab.Host("a")
	alone := h.Snapshot()
	lab.Host("b")
	const gone = "- sysctl kernel/panic = "
	if changes := strings.Join(h.Snapshot().Since(alone), "\n"); !strings.Contains(changes, gone) {
		t.Errorf("beside another host, without %q:\n%s", gone, changes)
	}
}

func TestNothingIsLeft(t *testing.T) {
	var id, sysctl string
	t.Run("lab", func(t *testing.T) {
		lab := testhost.New(t)
		id, sysctl = lab.ID(), read(t, panicSysctl)
		h := lab.Host("a", testhost.Disk(1<<20))
		h.Start("sleep", "1000")
		if _, err := h.Run(within(t, 5*time.Second), "sh", "-c", "echo 77 >"+panicSysctl); err != nil {
			t.Fatal(err)
		}
		if traces(t, id) == "" {
			t.Error("no trace of a lab that is open: this test proves nothing")
		}
	})
	if left := traces(t, id); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
	if after := read(t, panicSysctl); after != sysctl {
		t.Errorf("kernel.panic is %q, was %q", after, sysctl)
	}
}

// settled is kernel.panic as it is while no other test run has hosts.
func settled(t *testing.T) (value string) {
	t.Helper()
	t.Run("settled", func(t *testing.T) {
		testhost.New(t)
		value = read(t, panicSysctl)
	})
	return value
}

// TestLabsOfParallelTests: they are open side by side, and what belongs to the machine is as before when the last one has ended.
func TestLabsOfParallelTests(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("with one core no two tests run at the same time")
	}
	before := settled(t)
	var open sync.WaitGroup
	open.Add(2)
	t.Run("labs", func(t *testing.T) {
		for _, value := range []string{"77", "78"} {
			t.Run(value, func(t *testing.T) {
				t.Parallel()
				here := sync.OnceFunc(open.Done)
				defer here()
				h := testhost.New(t).Host("a")
				here()
				open.Wait()
				first := h.Snapshot()
				if _, err := h.Run(within(t, 5*time.Second), "sh", "-c", "echo "+value+" >"+panicSysctl); err != nil {
					t.Error(err)
				}
				if changes := h.Snapshot().Since(first); len(changes) > 0 {
					t.Errorf("what may be the other's doing is told: %q", changes)
				}
			})
		}
	})
	if after := read(t, panicSysctl); after != before {
		t.Errorf("kernel.panic is %q, was %q", after, before)
	}
}

// TestKilledRunIsTidied kills a test binary in the middle of a test and looks at what the next lab makes of it.
func TestKilledRunIsTidied(t *testing.T) {
	if os.Getenv("SKT_VICTIM") != "" {
		lab := testhost.New(t)
		h := lab.Host("victim", testhost.Disk(1<<20))
		h.Start("sleep", "1000")
		if _, err := h.Run(within(t, 5*time.Second), "sh", "-c", "echo 79 >"+panicSysctl); err != nil {
			t.Fatal(err)
		}
		_, _ = os.Stdout.WriteString("killme " + lab.ID() + "\n")
		select {}
	}
	before := settled(t)
	victim := exec.Command("/proc/self/exe", "-test.run=^TestKilledRunIsTidied$")
	victim.Env = append(os.Environ(), "SKT_VICTIM=yes", "SKERRY_TEST_LOGS="+t.TempDir())
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	said, _ := bufio.NewReader(out).ReadString('\n')
	_ = victim.Process.Kill()
	_ = victim.Wait()
	id, made := strings.CutPrefix(strings.TrimSpace(said), "killme ")
	if !made {
		t.Skipf("the victim made no host: it says %q", said)
	}
	// Another test binary's lab may have tidied up already.
	t.Logf("the killed run left:\n%s", traces(t, id))
	t.Run("next", func(t *testing.T) { testhost.New(t) })
	if left := traces(t, id); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
	if after := read(t, panicSysctl); after != before {
		t.Errorf("kernel.panic is %q, was %q", after, before)
	}
}

// traces lists folders, mounts and cgroups of one lab. Other labs come and go meanwhile, in other test binaries.
func traces(t *testing.T, id string) string {
	t.Helper()
	var all []string
	for _, pattern := range []string{filepath.Join(os.TempDir(), id), "/sys/fs/cgroup/" + id + "*", "/sys/fs/cgroup/*/" + id + "*"} {
		found, _ := filepath.Glob(pattern)
		all = append(all, found...)
	}
	for line := range strings.Lines(read(t, "/proc/self/mountinfo")) {
		if strings.Contains(line, "/"+id) {
			all = append(all, line)
		}
	}
	return strings.Join(all, "\n")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
