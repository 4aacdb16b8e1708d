package overlay

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/skerry-io/skerry/internal/host"
	"github.com/skerry-io/skerry/internal/host/nstest"
)

// Two nodes, each a process with a network namespace of its own, with a cable between them.

// roleVariable makes a test process the second node; its value is the backend and the IP families.
const roleVariable = "SKERRY_OVERLAY_ROLE"

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// side is one of the two nodes.
type side struct {
	name   string
	addrs  []netip.Addr
	ranges []netip.Prefix
	pods   []netip.Addr
}

func sideOf(number int, families string) side {
	s := side{name: fmt.Sprintf("node-%d", number)}
	if strings.Contains(families, "4") {
		s.addrs = append(s.addrs, netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", number)))
		s.ranges = append(s.ranges, prefixes(fmt.Sprintf("10.42.%d.0/24", number))...)
		s.pods = append(s.pods, netip.MustParseAddr(fmt.Sprintf("10.42.%d.5", number)))
	}
	if strings.Contains(families, "6") {
		s.addrs = append(s.addrs, netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", number)))
		s.ranges = append(s.ranges, prefixes(fmt.Sprintf("fd00:42:0:%d::/64", number))...)
		s.pods = append(s.pods, netip.MustParseAddr(fmt.Sprintf("fd00:42:0:%d::5", number)))
	}
	return s
}

// cluster are the pods' ranges of the cluster of those families.
func clusterOf(families string) []netip.Prefix {
	var list []netip.Prefix
	for _, f := range families {
		list = append(list, map[rune]netip.Prefix{'4': netip.MustParsePrefix("10.42.0.0/16"), '6': netip.MustParsePrefix("fd00:42::/56")}[f])
	}
	return list
}

// plug gives the cable's end its addresses, and a bridge that of a pod.
func (s side) plug(t *testing.T, cable string) {
	t.Helper()
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "cni0"}}))
	for name, addrs := range map[string][]netip.Addr{cable: s.addrs, "cni0": s.pods, "lo": nil} {
		link, err := netlink.LinkByName(name)
		must(t, err)
		for _, addr := range addrs {
			bits := map[bool]int{false: 24, true: 64}[addr.Is6()]
			must(t, netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(addr, bits)), Flags: syscall.IFA_F_NODAD}))
		}
		must(t, netlink.LinkSetUp(link))
	}
}

func (s side) open(t *testing.T, kind, families, dir string) Backend {
	t.Helper()
	b, err := Open(Config{Kind: kind, Node: s.name, Cluster: clusterOf(families), Addrs: s.addrs, KeyFile: filepath.Join(dir, "wireguard.key"),
		Apply: func(host.Change) error { return nil }, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	must(t, b.Up(s.ranges))
	return b
}

func (s side) peer(t *testing.T, b Backend) Peer {
	t.Helper()
	a, err := b.Announcement()
	must(t, err)
	return Peer{Node: s.name, Ranges: s.ranges, Announcement: a}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSecondNode is the other process: it tells of itself on its output, is told of its peer, and echoes.
func TestSecondNode(t *testing.T) {
	role := os.Getenv(roleVariable)
	if role == "" {
		t.Skip("it is one half of the tests of packets")
	}
	kind, families, _ := strings.Cut(role, " ")
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil { // the cable is plugged
		t.Fatal(err)
	}
	s := sideOf(2, families)
	s.plug(t, "cable2")
	b := s.open(t, kind, families, t.TempDir())
	for _, pod := range s.pods {
		l, err := net.Listen("tcp", netip.AddrPortFrom(pod, 80).String())
		must(t, err)
		go echo(l)
	}
	must(t, json.NewEncoder(os.Stdout).Encode(s.peer(t, b)))
	var peers []Peer
	decoder := json.NewDecoder(in)
	for decoder.Decode(&peers) == nil {
		must(t, b.Sync(peers))
		fmt.Println("done")
	}
}

func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(c, c) }()
	}
}

// second starts the second node and plugs the cable.
func second(t *testing.T, kind, families string) (tell func([]Peer), peer Peer) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestSecondNode$")
	cmd.Env = append(os.Environ(), roleVariable+"="+kind+" "+families)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "cable1"}, PeerName: "cable2", PeerNamespace: netlink.NsPid(cmd.Process.Pid)}))
	_, err = fmt.Fprintln(stdin, "plugged")
	must(t, err)
	out := bufio.NewReader(stdout)
	line, err := out.ReadString('\n')
	must(t, err)
	if err := json.Unmarshal([]byte(line), &peer); err != nil {
		rest, _ := io.ReadAll(out)
		t.Fatalf("the second node: %s%s", line, rest)
	}
	return func(peers []Peer) {
		must(t, json.NewEncoder(stdin).Encode(peers))
		_, err := out.ReadString('\n')
		must(t, err)
	}, peer
}

// call opens a connection from the first node's pod to the second's; a cable that was just plugged takes a while.
func call(from, to netip.Addr, wait time.Duration) (c net.Conn, err error) {
	for end := time.Now().Add(wait); ; {
		d := net.Dialer{Deadline: end, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
		if c, err = d.Dial("tcp", netip.AddrPortFrom(to, 80).String()); err == nil || time.Now().After(end) {
			return c, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// talk sends enough that packets are as large as they may be, and wants it back.
func talk(c net.Conn) error {
	sent, got := make([]byte, 256<<10), make([]byte, 256<<10)
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	failed := make(chan error, 1)
	go func() { _, err := c.Write(sent); failed <- err }()
	_, err := io.ReadFull(c, got)
	return errors.Join(err, <-failed)
}

func TestPacketsFlowVXLAN4(t *testing.T)   { flow(t, VXLAN, "4", 1450) }
func TestPacketsFlowVXLAN6(t *testing.T)   { flow(t, VXLAN, "6", 1430) }
func TestPacketsFlowVXLAN46(t *testing.T)  { flow(t, VXLAN, "46", 1450) }
func TestPacketsFlowHostGW46(t *testing.T) { flow(t, HostGW, "46", 1500) }
func TestPacketsFlowWireGuard46(t *testing.T) {
	flow(t, WireGuard, "46", 1420)
}
func TestPacketsFlowWireGuard6(t *testing.T) { flow(t, WireGuard, "6", 1420) }

// flow is the life of two nodes: they meet, one starts over, one leaves, returns with other ranges, and is gone.
func flow(t *testing.T, kind, families string, mtu int) {
	t.Helper()
	if !nstest.Inside(t) {
		return
	}
	dir := t.TempDir()
	tell, peer := second(t, kind, families)
	s := sideOf(1, families)
	s.plug(t, "cable1")
	b := s.open(t, kind, families, dir)
	if b.MTU() != mtu {
		t.Errorf("the MTU is %d, want %d", b.MTU(), mtu)
	}
	must(t, b.Sync([]Peer{peer}))
	tell([]Peer{s.peer(t, b)})

	var calls []net.Conn
	for i, pod := range s.pods {
		c, err := call(pod, sideOf(2, families).pods[i], 10*time.Second)
		must(t, err)
		must(t, talk(c))
		calls = append(calls, c)
	}
	before := state(t)
	must(t, b.Close())
	b = s.open(t, kind, families, dir)
	must(t, b.Sync([]Peer{peer}))
	if after := state(t); !slices.Equal(before, after) {
		t.Errorf("a restart changed\n%s\nto\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	for _, c := range calls {
		if err := talk(c); err != nil {
			t.Errorf("a connection did not outlive the restart: %v", err)
		}
	}

	must(t, b.Sync(nil))
	if left := routesAndNeighbours(t); len(left) > 0 {
		t.Errorf("of a node that left there is still\n%s", strings.Join(left, "\n"))
	}
	if _, err := call(s.pods[0], sideOf(2, families).pods[0], 500*time.Millisecond); err == nil {
		t.Error("a node that left can be reached")
	}

	other := peer
	other.Ranges = sideOf(7, families).ranges
	must(t, b.Sync([]Peer{other}))
	must(t, b.Sync([]Peer{peer})) // and back
	for i, pod := range s.pods {
		c, err := call(pod, sideOf(2, families).pods[i], 10*time.Second)
		must(t, err)
		must(t, talk(c))
	}
	if found := routesAndNeighbours(t); slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, "10.42.7") || strings.Contains(s, ":7::") }) {
		t.Errorf("of the earlier ranges there is still\n%s", strings.Join(found, "\n"))
	}
	must(t, b.Close())
	must(t, Close())
	if left := state(t); slices.ContainsFunc(left, func(s string) bool { return strings.Contains(s, "flannel") }) || len(routesAndNeighbours(t)) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// state are the interfaces and all that leads to other nodes.
func state(t *testing.T) []string {
	t.Helper()
	links, err := netlink.LinkList()
	must(t, err)
	var list []string
	for _, l := range links {
		list = append(list, fmt.Sprintf("%d %s %s mtu %d", l.Attrs().Index, l.Attrs().Name, l.Type(), l.Attrs().MTU))
	}
	return append(list, routesAndNeighbours(t)...)
}

func routesAndNeighbours(t *testing.T) []string {
	t.Helper()
	routes, err := ourRoutes()
	must(t, err)
	var list []string
	for _, r := range routes {
		list = append(list, r.String())
	}
	for _, name := range []string{vxlanName4, vxlanName6} {
		link, err := findLink(name)
		must(t, err)
		if link == nil {
			continue
		}
		entries, err := permanent(link.Attrs().Index)
		must(t, err)
		for _, e := range entries {
			list = append(list, e.String())
		}
	}
	slices.Sort(list)
	return list
}
