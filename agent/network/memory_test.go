package network

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/skerry-io/skerry/agent/network/overlay"
)

func peer(name, cidr, addr, data string) overlay.Peer {
	p := overlay.Peer{Node: name, Ranges: prefixes(cidr)}
	p.Type, p.Addrs = "vxlan", []netip.Addr{netip.MustParseAddr(addr)}
	if data != "" {
		p.Data = json.RawMessage(data)
	}
	return p
}

func TestWhatWasSeenIsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent", "peers.json")
	m, err := recall(path)
	if err != nil || len(m.Own) > 0 {
		t.Fatalf("before the first start: %+v, %v", m, err)
	}
	told := seen{Own: prefixes("10.42.1.0/24", "fd42:1::/64"), Type: "vxlan",
		Peers: []overlay.Peer{peer("a", "10.42.2.0/24", "10.0.0.2", `{"VNI":1}`), peer("b", "10.42.3.0/24", "10.0.0.3", "")}}
	if err := m.keep(told); err != nil {
		t.Fatal(err)
	}
	again, err := recall(path)
	if err != nil || !reflect.DeepEqual(again.seen, told) {
		t.Fatalf("after a reboot: %+v, %v", again.seen, err)
	}
	if len(again.peers("vxlan")) != 2 || again.peers("wireguard") != nil {
		t.Error("peers of another kind of backend are taken")
	}
	long := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(path, long, long); err != nil {
		t.Fatal(err)
	}
	if err := again.keep(told); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || !info.ModTime().Equal(long) {
		t.Errorf("the same is written again: %v", err)
	}
	told.Peers = told.Peers[:1]
	if err := again.keep(told); err != nil {
		t.Fatal(err)
	}
	if last, err := recall(path); err != nil || len(last.Peers) != 1 {
		t.Errorf("%+v, %v", last, err)
	}
	for _, broken := range []string{"", "{", `{"own":"x"}`} {
		if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := recall(path); err == nil || m == nil || len(m.Own) > 0 {
			t.Errorf("%q: %+v, %v", broken, m, err)
		}
	}
}

// away is a list of nodes that no server tells, or one that it tells.
type away struct {
	own   []netip.Prefix
	peers []overlay.Peer
	told  bool
}

func (a *away) Run(ctx context.Context)                              { <-ctx.Done() }
func (a *away) Own() []netip.Prefix                                  { return a.own }
func (a *away) Peers(string) ([]overlay.Peer, bool)                  { return a.peers, a.told }
func (a *away) Announce(context.Context, overlay.Announcement) error { return nil }

// wires notes what a backend is told.
type wires struct {
	own   []netip.Prefix
	peers []overlay.Peer
}

func (w *wires) Up(own []netip.Prefix) error     { w.own = own; return nil }
func (w *wires) Sync(peers []overlay.Peer) error { w.peers = peers; return nil }
func (w *wires) Announcement() (overlay.Announcement, error) {
	return overlay.Announcement{Type: "vxlan"}, nil
}
func (w *wires) MTU() int     { return 1450 }
func (w *wires) Close() error { return nil }

func TestWithoutAServerTheNetworkIsAsItWas(t *testing.T) {
	dir := t.TempDir()
	m, err := recall(filepath.Join(dir, "peers.json"))
	if err != nil {
		t.Fatal(err)
	}
	list, backend := &away{}, &wires{}
	n := &network{config: Config{CNIDir: dir, Leases: dir}, backend: backend, nodes: list, memory: m, ready: func() {}}
	if err := n.step(t.Context()); err != nil || n.wired {
		t.Fatalf("a node that knows nothing: %v", err)
	}
	far := peer("a", "10.42.2.0/24", "10.0.0.2", "{}")
	if err := m.keep(seen{prefixes("10.42.1.0/24"), "vxlan", []overlay.Peer{far}}); err != nil {
		t.Fatal(err)
	}
	if err := n.step(t.Context()); !errors.Is(err, errUnseen) || !n.wired || len(backend.own) != 1 || !reflect.DeepEqual(backend.peers, []overlay.Peer{far}) {
		t.Errorf("a node that remembers: %v, %+v", err, backend)
	}
	*list = away{own: prefixes("10.42.7.0/24"), told: true, peers: []overlay.Peer{}}
	if err := n.step(t.Context()); err != nil || backend.own[0] != list.own[0] || len(backend.peers) != 0 {
		t.Errorf("when the server is back: %v, %+v", err, backend)
	}
	if last, err := recall(m.path); err != nil || last.Own[0] != list.own[0] || len(last.Peers) != 0 {
		t.Errorf("it remembers %+v, %v", last.seen, err)
	}
	*list = away{told: true}
	if backend.own = nil; n.step(t.Context()) != nil || backend.own != nil {
		t.Error("a node whose range was taken away goes on with the one it remembers")
	}
}
