package host

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestCgroupsOf(t *testing.T) {
	for name, c := range map[string]struct {
		mountinfo string
		want      CgroupVersion
		has       string
	}{
		"none":                                   {"22 27 0:21 / /proc rw - proc proc rw\n", CgroupNone, ""},
		"unified":                                {"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n", CgroupV2, ""},
		"v1":                                     {"31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n32 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n", CgroupV1, "cpu cpuacct memory"},
		"hybrid":                                 {"31 23 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n33 23 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n34 23 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", CgroupHybrid, "pids"},
		"systemd with v2 controllers in unified": {"33 23 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n34 23 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", CgroupV2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := cgroupsOf(parseMounts([]byte(c.mountinfo)))
			if got.Version != c.want || strings.Join(got.Controllers, " ") != c.has {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestOwnCgroup(t *testing.T) {
	for text, want := range map[string]string{
		"0::/\n":                              "/",
		"0::/system.slice/skerry.service\n":   "/system.slice/skerry.service",
		"4:memory:/docker/abc\n0::/\n":        "/docker/abc",
		"9:cpu,memory:/a:b\n1:name=systemd:/": "/a:b",
	} {
		if got := ownCgroup([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestParseMounts(t *testing.T) {
	got := parseMounts([]byte(`41 27 0:33 /vol /mnt/with\040blank rw,relatime shared:9 master:2 - ext4 /dev/sda1 rw,errors=continue` + "\nbroken line\n"))
	if len(got) != 1 || got[0].Point != "/mnt/with blank" || !got[0].Shared || got[0].FSType != "ext4" || got[0].RootInner != "/vol" {
		t.Errorf("got %+v", got)
	}
}

func TestUnder(t *testing.T) {
	for _, c := range []struct {
		path, dir string
		want      bool
	}{{"/a/b", "/a", true}, {"/a", "/a/", true}, {"/ab", "/a", false}, {"/", "/a", false}, {"/x", "/", true}} {
		if got := under(c.path, c.dir); got != c.want {
			t.Errorf("under(%q, %q) = %v", c.path, c.dir, got)
		}
	}
}

func TestEffectiveCapabilities(t *testing.T) {
	if got := effective([]byte("Name:\tx\nCapEff:\t000001fffeffffff\nCapBnd:\t0\n")); got&(1<<24) != 0 || got&(1<<23) == 0 {
		t.Errorf("got %x", got)
	}
}

func TestParseStat(t *testing.T) {
	stat := "77 (a) b (c) S 5 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99 1"
	p, ok := parseStat([]byte(stat))
	if !ok || p.PID != 77 || p.Parent != 5 || p.State != 'S' || p.Start != "12345" {
		t.Errorf("got %+v, %v", p, ok)
	}
	if _, ok := parseStat([]byte("torn")); ok {
		t.Error("a torn line was read")
	}
}

func TestPickSparesItselfAndItsKind(t *testing.T) {
	ours := Processes{Programs: "/var/lib/skerry/data", Runtime: "/run/skerry/containerd"}
	const self = "/var/lib/skerry/data/h/skerry"
	all := []process{
		{PID: 1, Program: "/sbin/init", State: 'S'},
		{PID: 10, Parent: 1, Program: "/bin/bash", State: 'S'},
		{PID: 11, Parent: 10, Program: self, State: 'R', Args: []string{"skerry", "reset"}},
		{PID: 12, Parent: 10, Program: self, State: 'S', Args: []string{"skerry", "kubectl"}},
		{PID: 20, Parent: 1, Program: "/var/lib/skerry/data/h/containerd-shim-runc-v2", State: 'S'},
		{PID: 21, Parent: 20, Program: "/pause", State: 'S'},
		{PID: 22, Parent: 21, Program: "/app", State: 'S'},
		{PID: 23, Parent: 20, Program: "/dead", State: 'Z'},
		{PID: 30, Parent: 1, Program: "/usr/bin/containerd-shim-runc-v2", State: 'S', Args: []string{"x", "-address", "/run/containerd/containerd.sock"}},
		{PID: 31, Parent: 30, Program: "/theirs", State: 'S'},
		{PID: 40, Parent: 1, Program: "/usr/bin/shim", State: 'S', Args: []string{"x", "-address", "/run/skerry/containerd/containerd.sock"}},
		{PID: 50, Parent: 1, PIDs: "pid:[2]", Program: "/sbin/init", State: 'S'}, // a container with a Skerry of its own
		{PID: 51, Parent: 50, PIDs: "pid:[2]", Program: "/var/lib/skerry/data/h/containerd-shim-runc-v2", State: 'S'},
		{PID: 52, Parent: 51, PIDs: "pid:[3]", Program: "/pause", State: 'S'},
	}
	var got []int
	for _, p := range ours.pick(all, 11) {
		got = append(got, p.PID)
	}
	if got[0] == 20 || !slices.Contains(got, 22) {
		t.Errorf("a shim goes before its containers: %v", got)
	}
	slices.Sort(got)
	if !slices.Equal(got, []int{20, 21, 22, 40}) {
		t.Errorf("picked %v", got)
	}
}

func TestListeners(t *testing.T) {
	table := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n" +
		"   1: 0100007F:192B 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1\n"
	if got := listeners([]byte(table), 6443); !slices.Equal(got, []string{"4711"}) {
		t.Errorf("got %v", got)
	}
}

func TestPortFreeNamesTheHolder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	if err := PortFree(addr); err == nil || !strings.Contains(err.Error(), "host.test") {
		t.Errorf("taken port: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := PortFree(addr); err != nil {
		t.Errorf("free port: %v", err)
	}
}
