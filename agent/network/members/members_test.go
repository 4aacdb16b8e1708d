package members

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/skerry-io/skerry/agent/network/overlay"
)

func cluster() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("fd00:42::/56")}
}

func told(kind string, addrs ...string) overlay.Announcement {
	a := overlay.Announcement{Type: kind, Data: json.RawMessage(`{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}`)}
	for _, text := range addrs {
		a.Addrs = append(a.Addrs, netip.MustParseAddr(text))
	}
	return a
}

func node(name string, a *overlay.Announcement, ranges ...string) *core.Node {
	n := &core.Node{ObjectMeta: meta.ObjectMeta{Name: name}, Spec: core.NodeSpec{PodCIDRs: ranges}}
	if a != nil {
		n.Annotations = map[string]string{}
		for key, value := range write(*a) {
			if value != nil {
				n.Annotations[key] = *value
			}
		}
	}
	return n
}

func TestTheAnnotationsAreFlannels(t *testing.T) {
	a := told("vxlan", "192.0.2.1")
	want := map[string]string{
		"flannel.alpha.coreos.com/kube-subnet-manager": "true",
		"flannel.alpha.coreos.com/backend-type":        "vxlan",
		"flannel.alpha.coreos.com/backend-data":        `{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}`,
		"flannel.alpha.coreos.com/public-ip":           "192.0.2.1",
	}
	if got := node("pi", &a).Annotations; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v", got)
	}
}

func TestWhatANodeTellsIsReadBack(t *testing.T) {
	for name, a := range map[string]overlay.Announcement{
		"IPv4": told("vxlan", "192.0.2.1"), "IPv6": told("vxlan", "2001:db8::1"), "both": told("wireguard", "192.0.2.1", "2001:db8::1"),
		"nothing but addresses": {Type: "host-gw", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
	} {
		peer, enough := read(node("pi", &a, "10.42.1.0/24"))
		if !enough || fmt.Sprint(peer.Announcement) != fmt.Sprint(a) {
			t.Errorf("%s: got %v, %t", name, peer, enough)
		}
	}
}

func TestChoose(t *testing.T) {
	vx, wg := told("vxlan", "192.0.2.1", "2001:db8::1"), told("wireguard", "192.0.2.1")
	self := node("self", &vx, "10.42.0.0/24")
	for name, c := range map[string]struct {
		other *core.Node
		want  string
	}{
		"a peer":                     {node("pi", &vx, "10.42.1.0/24", "fd00:42:0:1::/64"), "10.42.1.0/24 fd00:42:0:1::/64"},
		"that has told nothing":      {node("pi", nil, "10.42.1.0/24"), ""},
		"that has no range":          {node("pi", &vx), ""},
		"of another backend":         {node("pi", &wg, "10.42.1.0/24"), ""},
		"with a range of the world":  {node("pi", &vx, "0.0.0.0/0", "10.0.0.0/8", "192.0.2.0/24"), ""},
		"with this node's own range": {node("pi", &vx, "10.42.0.0/25", "10.42.1.0/24"), "10.42.1.0/24"},
		"with an unreadable range":   {node("pi", &vx, "10.42"), ""},
	} {
		var got []string
		for _, peer := range choose([]*core.Node{self, c.other}, "self", "vxlan", cluster()) {
			for _, p := range peer.Ranges {
				got = append(got, p.String())
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// started is a list over a fake API, with a channel that hears of changes.
func started(t *testing.T, nodes ...*core.Node) (*List, *fake.Clientset, chan struct{}) {
	t.Helper()
	var objects []runtime.Object
	for _, n := range nodes {
		objects = append(objects, n)
	}
	api := fake.NewClientset(objects...)
	changed := make(chan struct{}, 100)
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o meta.ListOptions) (runtime.Object, error) {
			return api.CoreV1().Nodes().List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o meta.ListOptions) (watch.Interface, error) {
			return api.CoreV1().Nodes().Watch(ctx, o)
		},
	}
	l := list(Config{Node: "self", Cluster: cluster(), Changed: func() { changed <- struct{}{} }}, cache.ToListWatcherWithWatchListSemantics(source, api), api)
	if _, known := l.Peers("vxlan"); known {
		t.Error("the list is known before it was seen")
	}
	ended := make(chan struct{})
	go func() { l.Run(t.Context()); close(ended) }()
	t.Cleanup(func() { <-ended })
	return l, api, changed
}

func hear(t *testing.T, changed <-chan struct{}) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Fatal("no word of a change")
	}
}

func TestNodesComeAndGo(t *testing.T) {
	vx := told("vxlan", "192.0.2.1")
	l, api, changed := started(t, node("self", nil, "10.42.0.0/24"))
	hear(t, changed)
	if own := l.Own(); len(own) != 1 || own[0].String() != "10.42.0.0/24" {
		t.Errorf("own is %v", own)
	}
	nodes := api.CoreV1().Nodes()
	pi, err := nodes.Create(t.Context(), node("pi", &vx, "10.42.1.0/24"), meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	hear(t, changed)
	if peers, _ := l.Peers("vxlan"); len(peers) != 1 {
		t.Errorf("got %v", peers)
	}
	pi.Status.NodeInfo.KernelVersion = "7" // nothing that matters; the next is
	if pi, err = nodes.Update(t.Context(), pi, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	pi.Spec.PodCIDRs = []string{"10.42.9.0/24"}
	if _, err := nodes.Update(t.Context(), pi, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	hear(t, changed)
	if peers, _ := l.Peers("vxlan"); len(peers) != 1 || peers[0].Ranges[0].String() != "10.42.9.0/24" {
		t.Errorf("got %v", peers)
	}
	if err := nodes.Delete(t.Context(), "pi", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	hear(t, changed)
	if peers, known := l.Peers("vxlan"); len(peers) != 0 || !known {
		t.Errorf("got %v, %t", peers, known)
	}
	if len(changed) > 0 {
		t.Error("changes of no matter are told")
	}
}

func TestTheAnnotationIsWrittenOnlyWhenItDiffers(t *testing.T) {
	self := node("self", nil, "10.42.0.0/24")
	self.Annotations = map[string]string{"of": "someone else", annAddr6: "2001:db8::9"}
	l, api, changed := started(t, self)
	hear(t, changed)
	vx := told("vxlan", "192.0.2.1")
	if err := l.Announce(t.Context(), vx); err != nil {
		t.Fatal(err)
	}
	hear(t, changed)
	if err := l.Announce(t.Context(), vx); err != nil {
		t.Fatal(err)
	}
	patches := 0
	for _, action := range api.Actions() {
		if action.GetVerb() == "patch" {
			patches++
		}
	}
	if patches != 1 {
		t.Errorf("%d patches", patches)
	}
	got, err := api.CoreV1().Nodes().Get(t.Context(), "self", meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Annotations["of"] == "" || got.Annotations[annAddr6] != "" || got.Annotations[annAddr] != "192.0.2.1" {
		t.Errorf("got %v", got.Annotations)
	}
}
