package netpol

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// guest is a pod's network: a namespace of its own, on the bridge or behind another link.
type guest struct {
	name  string
	addrs []netip.Addr
	ns    *os.File
}

// inside runs f in the guest's network.
func (g *guest) inside(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(g.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(err)
		}
		f()
	}()
	<-done
}

// newNamespace gives a network namespace that is there as long as the file is open.
func newNamespace(t testing.TB) *os.File {
	t.Helper()
	files := make(chan *os.File)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			panic(err)
		}
		f, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		if err != nil {
			panic(err)
		}
		files <- f
	}()
	f := <-files
	t.Cleanup(func() { f.Close() })
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newGuest makes a network with these addresses, connected to this one. On a bridge it is a port; else the address before its
// own is the host's end.
func newGuest(t testing.TB, name, bridge string, cidrs ...string) *guest {
	t.Helper()
	g := &guest{name: name, ns: newNamespace(t)}
	g.inside(func() { noDAD(t) })
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "v" + name}, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(g.ns.Fd()))}
	must(t, netlink.LinkAdd(link))
	if bridge != "" {
		master, err := netlink.LinkByName(bridge)
		must(t, err)
		must(t, netlink.LinkSetMaster(link, master))
		must(t, netlink.LinkSetHairpin(link, true))
	}
	must(t, netlink.LinkSetUp(link))
	for _, text := range cidrs {
		g.addrs = append(g.addrs, netip.MustParsePrefix(text).Addr())
		if bridge == "" {
			p := netip.MustParsePrefix(text)
			addAddress(t, link, netip.PrefixFrom(p.Addr().Prev(), p.Bits()).String())
		}
	}
	g.inside(func() {
		for _, name := range []string{"lo", "eth0"} {
			l, err := netlink.LinkByName(name)
			must(t, err)
			must(t, netlink.LinkSetUp(l))
			if name == "lo" {
				continue
			}
			for _, text := range cidrs {
				addAddress(t, l, text)
				p := netip.MustParsePrefix(text)
				gateway := p.Masked().Addr().Next()
				if bridge == "" {
					gateway = p.Addr().Prev()
				}
				must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: gateway.AsSlice()}))
			}
		}
	})
	return g
}

// noDAD has addresses work at once.
func noDAD(t testing.TB) {
	t.Helper()
	for _, all := range []string{"all", "default"} {
		must(t, os.WriteFile("/proc/sys/net/ipv6/conf/"+all+"/accept_dad", []byte("0"), 0o644))
	}
}

func addAddress(t testing.TB, link netlink.Link, text string) {
	t.Helper()
	a, err := netlink.ParseAddr(text)
	must(t, err)
	a.Flags |= unix.IFA_F_NODAD
	must(t, netlink.AddrAdd(link, a))
}

// hostWithBridge makes this namespace a node: a bridge, and forwarding. bridgeNF says whether rules of family inet see bridged packets.
func hostWithBridge(t testing.TB, bridgeNF bool, cidrs ...string) {
	t.Helper()
	noDAD(t)
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetUp(lo))
	b := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "cni0", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}}
	must(t, netlink.LinkAdd(b))
	must(t, netlink.LinkSetUp(b))
	for _, text := range cidrs {
		addAddress(t, b, text)
	}
	value := "0"
	if bridgeNF {
		value = "1"
	}
	for path, text := range map[string]string{
		"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1",
		"net/bridge/bridge-nf-call-iptables": value, "net/bridge/bridge-nf-call-ip6tables": value,
	} {
		if err := os.WriteFile("/proc/sys/"+path, []byte(text), 0o644); err != nil && !(errors.Is(err, os.ErrNotExist) && !bridgeNF) {
			t.Skipf("this kernel does not let us: %v", err)
		}
	}
}

// listen answers at a port of the guest: with its name, and then with what it is told.
func (g *guest) listen(t testing.TB, protocol string, port int) {
	t.Helper()
	g.inside(func() {
		if protocol == "udp" {
			conn, err := net.ListenPacket("udp", ":"+strconv.Itoa(port))
			must(t, err)
			t.Cleanup(func() { conn.Close() })
			go func() {
				text := make([]byte, 100)
				for {
					n, from, err := conn.ReadFrom(text)
					if err != nil {
						return
					}
					conn.WriteTo(append([]byte(g.name), text[:n]...), from)
				}
			}()
			return
		}
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		must(t, err)
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				conn.Write([]byte(g.name))
				go func() { defer conn.Close(); io.Copy(conn, conn) }()
			}
		}()
	})
}

// brief is how long a connection that is allowed may take here; one that is not allowed takes it all.
const brief = 250 * time.Millisecond

// reach tries a connection and says whether there was an answer.
func (g *guest) reach(protocol string, to netip.Addr, port int) error {
	conn, err := g.dial(protocol, to, port)
	if err != nil {
		return err
	}
	defer conn.Close()
	if protocol == "udp" {
		if _, err := conn.Write([]byte("?")); err != nil {
			return err
		}
	}
	conn.SetDeadline(time.Now().Add(brief))
	_, err = conn.Read(make([]byte, 100))
	return err
}

func (g *guest) dial(protocol string, to netip.Addr, port int) (conn net.Conn, err error) {
	g.inside(func() {
		d := net.Dialer{Timeout: brief}
		conn, err = d.Dial(protocol, netip.AddrPortFrom(to, uint16(port)).String())
	})
	return conn, err
}

func nftOutput(args ...string) (string, error) {
	out, err := exec.Command("nft", args...).CombinedOutput()
	return string(out), err
}
