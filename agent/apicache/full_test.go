package apicache

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	core "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/internal/host/nstest"
)

// TestAFullDisk: what was written before stays whole, whether the disk is full while something is added or while all is written anew; the
// node goes on with what it knows, and writes that when there is room again.
func TestAFullDisk(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	loopback, err := netlink.LinkByName("lo")
	if err = errors.Join(err, netlink.LinkSetUp(loopback)); err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(*node) error{
		"adding":       func(n *node) error { return n.cache.flush() },
		"writing anew": func(n *node) error { n.cache.mu.Lock(); defer n.cache.mu.Unlock(); return n.cache.rewrite() },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			if err := syscall.Mount("tmpfs", n.dir, "tmpfs", 0, "size=64k"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(n.dir, syscall.MNT_DETACH) })
			n.boot()
			n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"))
			names(t, n.as(selfUser, mediaBin))
			n.flush()
			filler := n.fill()
			large := pod("b", "10.0.0.2")
			large.Annotations = map[string]string{"text": strings.Repeat("x", 8<<10)}
			n.server.set(allPods, &core.PodList{}, large)
			names(t, n.as(selfUser, mediaBin))
			if err := write(n); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("writing to a full disk: %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(n.dir, "*.new")); len(left) != 0 {
				t.Errorf("%q are left", left)
			}
			before, err := os.ReadFile(n.file())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			n.flush()
			n.reboot()
			if got := n.knows(); got != "b" {
				t.Errorf("with room again it knows %q", got)
			}
			n.cache.close()
			if err := os.WriteFile(n.file(), before, 0o600); err != nil {
				t.Fatal(err)
			}
			n.boot()
			if got := n.knows(); got != "a" {
				t.Errorf("after a power cut on a full disk it would know %q", got)
			}
		})
	}
}

// fill leaves no room on the node's disk.
func (n *node) fill() string {
	n.t.Helper()
	path := filepath.Join(n.dir, "filler")
	file, err := os.Create(path)
	if err != nil {
		n.t.Fatal(err)
	}
	for err == nil {
		_, err = file.Write(make([]byte, 1024))
	}
	if !errors.Is(err, syscall.ENOSPC) || file.Close() != nil {
		n.t.Fatal(err)
	}
	return path
}
