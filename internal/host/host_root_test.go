package host

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/host/nstest"
)

func TestSysctlGoesBackUnlessSomeoneElseSetIt(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	const forward, ttl = "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/ip_default_ttl"
	write(t, forward, "0")
	write(t, ttl, "64")
	l := open(t, filepath.Join(t.TempDir(), "ledger.jsonl"))
	apply(t, l, Sysctl{Key: "net.ipv4.ip_forward", Want: "1"}, Sysctl{Key: "net.ipv4.ip_default_ttl", Want: "70"},
		Sysctl{Key: "net.ipv4.ip_forward", Want: "1"})
	content(t, forward, "1\n")
	if n := len(l.Entries()); n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
	write(t, ttl, "99")
	report := undoAll(t, l)
	content(t, forward, "0\n")
	content(t, ttl, "99\n")
	if len(report.Left) != 1 || !strings.Contains(report.Left[0].Why, "99") {
		t.Errorf("left alone: %v", report.Left)
	}
	apply(t, l, Sysctl{Key: "net.ipv4.ip_forward", Want: "0"})
	if n := len(l.Entries()); n != 0 {
		t.Errorf("a value that was there already has %d entries", n)
	}
}

func TestSysctlOfAnotherBootIsWhatComesBack(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	const ttl = "/proc/sys/net/ipv4/ip_default_ttl"
	l := open(t, filepath.Join(t.TempDir(), "ledger.jsonl"))
	change := Sysctl{Key: "net.ipv4.ip_default_ttl", Want: "70"}
	write(t, ttl, "64")
	apply(t, l, change)
	write(t, ttl, "80") // an admin's new value, set at boot
	apply(t, l, change)
	undoAll(t, l)
	content(t, ttl, "80\n")
}

func routes(t *testing.T) string {
	t.Helper()
	var all []string
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			all = append(all, r.String())
		}
	}
	return strings.Join(all, "\n")
}

func TestRouteIsMadeOnceAndTakenAway(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	up(t, "lo")
	empty := routes(t)
	l := open(t, filepath.Join(t.TempDir(), "ledger.jsonl"))
	pods := Route{Prefix: netip.MustParsePrefix("10.42.0.0/16"), Type: Unreachable, Metric: 4096}
	pods6 := Route{Prefix: netip.MustParsePrefix("fd42::/48"), Type: Blackhole, Metric: 4096}
	services6 := Route{Prefix: netip.MustParsePrefix("fd43::/112"), Type: Unreachable}
	services := Route{Prefix: netip.MustParsePrefix("10.43.0.0/16"), Type: Loopback, Metric: 1024, Source: netip.MustParseAddr("127.0.0.1")}
	for range 2 {
		apply(t, l, pods, pods6, services6, services)
	}
	if got := routes(t); !strings.Contains(got, "10.43.0.0/16") {
		t.Errorf("routes: %s", got)
	}
	if got := routes(t); !strings.Contains(got, "10.42.0.0/16") || !strings.Contains(got, "fd42::/48") || !strings.Contains(got, "fd43::/112") {
		t.Errorf("routes: %s", got)
	}
	undoAll(t, l)
	if got := routes(t); got != empty {
		t.Errorf("routes after undo: %s\nbefore: %s", got, empty)
	}
}

func TestRouteOfSomeoneElseStays(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	up(t, "lo")
	r := Route{Prefix: netip.MustParsePrefix("10.42.0.0/16"), Type: Blackhole}
	if err := r.apply(); err != nil {
		t.Fatal(err)
	}
	l := open(t, filepath.Join(t.TempDir(), "ledger.jsonl"))
	apply(t, l, r)
	undoAll(t, l)
	if there, err := r.exists(); err != nil || !there {
		t.Errorf("exists: %v, %v", there, err)
	}
}

func up(t *testing.T, name string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestLinkGoesWithItsPorts(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	l := open(t, filepath.Join(t.TempDir(), "ledger.jsonl"))
	add := func(link netlink.Link) {
		if err := netlink.LinkAdd(link); err != nil {
			t.Skipf("add %s: %v", link.Attrs().Name, err)
		}
	}
	add(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "theirs"}})
	apply(t, l, Link{Name: "theirs", Type: "bridge"}, Link{Name: "cni0", Type: "bridge"}, Link{Name: "other", Type: "vxlan"}, Link{Name: "never"})
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "cni0"}}
	add(bridge)
	add(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "veth1", MasterIndex: bridge.Attrs().Index}, PeerName: "pod1"})
	add(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "other"}})
	report := undoAll(t, l)
	for name, want := range map[string]bool{"theirs": true, "cni0": false, "veth1": false, "other": true} {
		if gone(name) == want {
			t.Errorf("%s there: %v, want %v", name, !want, want)
		}
	}
	if len(report.Left) != 2 {
		t.Errorf("left alone: %v", report.Left)
	}
}

// mountFor mounts until the test ends, so that its temporary directory can go.
func mountFor(t *testing.T, source, path, fsType string, flags uintptr) {
	t.Helper()
	if err := unix.Mount(source, path, fsType, flags, ""); err != nil {
		t.Skipf("mount %s: %v", path, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) }) // what is tested may have done it
}

func TestMountsUnderAPathGoAndTheFirstOnesStay(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	dir := filepath.Join(t.TempDir(), "with blank")
	disk := func(path string) {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		mountFor(t, "tmpfs", path, "tmpfs", 0)
	}
	disk(dir)
	l := open(t, filepath.Join(t.TempDir(), "ledger.jsonl"))
	apply(t, l, Mounts{Under: dir})
	disk(filepath.Join(dir, "a"))
	disk(filepath.Join(dir, "a/busy"))
	disk(filepath.Join(dir, "a/busy")) // twice on one point
	disk(dir + "-sibling")
	busy, err := os.Create(filepath.Join(dir, "a/busy/open"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	apply(t, l, Mounts{Under: dir})
	undoAll(t, l)
	mounts, err := mountsUnder(filepath.Dir(dir))
	if err != nil || len(mounts) != 2 {
		t.Errorf("left: %v, %v", mounts, err)
	}
}

func TestTreeWithAMountInsideIsNotRemoved(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	root := t.TempDir()
	l := open(t, filepath.Join(root, "ledger.jsonl"))
	if err := l.MakeDir(filepath.Join(root, "tree/inner"), 0, true); err != nil {
		t.Fatal(err)
	}
	mountFor(t, "tmpfs", filepath.Join(root, "tree/inner"), "tmpfs", 0)
	write(t, filepath.Join(root, "tree/inner/precious"), "data")
	if _, err := l.UndoAll(t.Context()); err == nil || !strings.Contains(err.Error(), "umount") {
		t.Errorf("undo: %v", err)
	}
	content(t, filepath.Join(root, "tree/inner/precious"), "data")
}

func nft(t *testing.T, kind int, n NFTable) {
	t.Helper()
	family, _ := nfFamily(n.Family)
	err := nfBatch(nfMessage{kind: kind, flags: unix.NLM_F_CREATE | unix.NLM_F_ACK, family: family, attrs: nfString(unix.NFTA_TABLE_NAME, n.Name)})
	if err != nil {
		t.Skipf("no nf_tables here: %v", err)
	}
}

func TestNFTableGoesAndTheirsStays(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	ours, theirs, never := NFTable{"ip", "kube-proxy"}, NFTable{"inet", "firewalld"}, NFTable{"ip6", "kube-proxy"}
	nft(t, unix.NFT_MSG_NEWTABLE, theirs)
	l := open(t, filepath.Join(t.TempDir(), "ledger.jsonl"))
	apply(t, l, ours, theirs, never)
	nft(t, unix.NFT_MSG_NEWTABLE, ours)
	undoAll(t, l)
	for table, want := range map[NFTable]bool{ours: false, theirs: true, never: false} {
		if there, err := table.exists(); err != nil || there != want {
			t.Errorf("%s there: %v, %v; want %v", table.id(), there, err, want)
		}
	}
}

func TestCgroupIsKilledAndRemoved(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	nstest.Proc(t)
	c := Cgroup{Path: "/skerry-test-" + filepath.Base(t.TempDir())}
	l := open(t, filepath.Join(t.TempDir(), "ledger.jsonl"))
	apply(t, l, c)
	mode, err := CgroupMode()
	if err != nil || mode.Version == CgroupNone {
		t.Skipf("no cgroups here: %v", err)
	}
	root := mode.Mount
	if mode.Version != CgroupV2 {
		root = "/sys/fs/cgroup/pids"
	}
	leaf := filepath.Join(root, c.Path, "burstable", "pod1")
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		t.Skipf("make a cgroup: %v", err)
	}
	sleep := exec.Command("sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sleep.Wait() }()
	pid := []byte(strings.TrimSpace(itoa(sleep.Process.Pid)))
	if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), pid, 0); err != nil {
		t.Fatal(err)
	}
	undoAll(t, l)
	if trees, err := c.trees(); err != nil || len(trees) > 0 {
		t.Errorf("left: %v, %v", trees, err)
	}
}

func TestProcessesOfOursDieWithTheirChildren(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	nstest.Proc(t)
	dir := t.TempDir()
	sh, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	shim := filepath.Join(dir, "data", "abc", "shim")
	if err := os.MkdirAll(filepath.Dir(shim), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(shim, sh, 0o755); err != nil {
		t.Fatal(err)
	}
	l := open(t, filepath.Join(dir, "ledger.jsonl"))
	apply(t, l, Processes{Programs: filepath.Join(dir, "data"), Runtime: filepath.Join(dir, "run")})
	byProgram := exec.Command(shim, "-c", "sleep 1000; true")
	byAddress := exec.Command("/bin/sh", "-c", "sleep 1000; true", "-address", filepath.Join(dir, "run/containerd.sock"))
	theirs := exec.Command("/bin/sh", "-c", "sleep 1000; true", "-address", "/run/containerd/containerd.sock")
	for _, cmd := range []*exec.Cmd{byProgram, byAddress, theirs} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 2)
	for _, cmd := range []*exec.Cmd{byProgram, byAddress} {
		go func() { ended <- cmd.Wait() }()
	}
	for deadline := time.Now().Add(10 * time.Second); sleeps(t) < 3; time.Sleep(10 * time.Millisecond) { // what a shim starts at this moment is not found
		if time.Now().After(deadline) {
			t.Fatal("the containers do not start")
		}
	}
	undoAll(t, l)
	for range 2 {
		<-ended
	}
	if err := theirs.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("another runtime's shim: %v", err)
	}
	if left := sleeps(t); left != 1 {
		t.Errorf("%d containers left, want the one of another runtime", left)
	}
	_ = theirs.Process.Kill() // ends with the namespace at the latest
	_ = theirs.Wait()
}

// sleeps counts the containers.
func sleeps(t *testing.T) (count int) {
	t.Helper()
	all, err := readProcesses()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.State != 'Z' && filepath.Base(p.Program) == "sleep" {
			count++
		}
	}
	return count
}

func TestNetnsOfOursGo(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	dir := t.TempDir()
	for _, name := range []string{"cni-ours", "cni-theirs", "blue"} {
		path := filepath.Join(dir, name)
		write(t, path, "")
		mountFor(t, "/proc/self/ns/net", path, "", unix.MS_BIND)
	}
	state := filepath.Join(dir, "bundle.json")
	write(t, state, `{"path":"/var/run/netns/cni-ours"}`)
	l := open(t, filepath.Join(dir, "ledger.jsonl"))
	apply(t, l, Netns{Dir: dir, Prefix: "cni-", Evidence: []string{filepath.Join(dir, "*.json")}})
	undoAll(t, l)
	absent(t, filepath.Join(dir, "cni-ours"))
	mounts, err := mountsUnder(dir)
	if err != nil || len(mounts) != 2 {
		t.Errorf("left: %v, %v", mounts, err)
	}
}

func TestMissingNFTTellsKnownFromUnknown(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	missing, err := MissingNFT([]string{"ct", "meta", "no-such-thing", "immediate"})
	if err != nil {
		t.Skipf("no nf_tables here: %v", err)
	}
	if got := strings.Join(missing, " "); got != "no-such-thing" {
		t.Errorf("missing: %q", got)
	}
}
