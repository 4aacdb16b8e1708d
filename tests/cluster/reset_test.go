package cluster_test

import (
	"strings"
	"testing"

	"github.com/skerry-io/skerry/tests/testhost"
)

// TestResetLeavesTheHostAsItWas: after pods, Services, ports and volumes, reset leaves nothing of skerry's and everything
// of others.
func TestResetLeavesTheHostAsItWas(t *testing.T) {
	n := newNode(t, nil)
	n.host.Write("/etc/skerry/config.yaml", []byte("node-label: [mine=yes]\n")) // the user's, so it stays
	n.host.Write("/etc/cni/net.d/99-foreign.conf", []byte("{}\n"))
	foreign := "ip link add foreign0 type bridge && ip link set foreign0 up && ip route add unreachable 10.99.0.0/16 && mkdir -p /run/foreign && mount -t tmpfs foreign /run/foreign"
	if _, err := n.host.Run(t.Context(), "sh", "-c", foreign); err != nil {
		t.Fatal(err)
	}
	n.host.Start("sleep", "77777")
	before := n.host.Snapshot()

	use := func() {
		n.place(t, archive(t, busybox))
		n.serve()
		n.ready(t)
		n.host.Write("/var/lib/from-host/file", []byte("of the host"))
		n.apply(t, "everything.yaml")
		n.apply(t, "services.yaml")
		n.podReady(t, "everything")
		n.podsReady(t, "web", 2)
	}
	clean := func(t *testing.T) {
		t.Helper()
		if _, err := n.host.Run(t.Context(), "rm", "-r", "/var/lib/from-host"); err != nil { // a pod's user made it
			t.Error(err)
		}
		n.isAs(t, before)
	}

	use()
	t.Run("while the server runs it refuses", func(t *testing.T) {
		out, err := n.try(t, "reset", "--yes")
		if err == nil || !strings.Contains(err.Error(), "skerry runs on this data directory") {
			t.Fatalf("%q, %v", out, err)
		}
		n.podReady(t, "everything")
	})
	t.Run("after a stop, with pods still running", func(t *testing.T) {
		_ = n.stop(t)
		t.Log(n.skerry(t, "reset", "--yes"))
		clean(t)
	})
	t.Run("a second time it has nothing to do", func(t *testing.T) { _ = n.skerry(t, "reset", "--yes") })
	t.Run("after SIGKILL of a fresh server", func(t *testing.T) {
		use()
		n.proc.Kill()
		t.Log(n.skerry(t, "reset", "--yes"))
		clean(t)
	})
}

// isAs wants the host as it was, but for what does no harm.
func (n *node) isAs(t *testing.T, before testhost.Snapshot) {
	t.Helper()
	var left []string
	for _, change := range n.host.Snapshot().Since(before) {
		if !harmless(change) {
			left = append(left, change)
		}
	}
	if len(left) > 0 {
		t.Errorf("%d things differ from before:\n%s", len(left), strings.Join(left[:min(60, len(left))], "\n"))
	}
}

// harmless are changes that the kernel makes on its own when networking is used, or keeps by design.
func harmless(change string) bool {
	for _, part := range []string{
		"sysctl net/netfilter/nf_conntrack", // its defaults appear with its first use
		"sysctl net/ipv6/conf/default/stable_secret",
		"sysctl net/ipv4/tcp_", // measured by the kernel
		"cgroup /hugetlb",
		"file /run/mount ", // the mount command's own
		"/root/.kube",      // kubectl's own cache, of the user who called it
	} {
		if strings.Contains(change, part) {
			return true
		}
	}
	return false
}
