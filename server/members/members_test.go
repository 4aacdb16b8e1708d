package members

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/skerry-io/skerry/datastore/etcd"
	"github.com/skerry-io/skerry/internal/run"
)

// book is a cluster of members.
type book struct {
	mu    sync.Mutex
	names []string
	fails int               // so many times
	ids   map[string]uint64 // other than none
	lives map[string]bool
}

func (b *book) Members(context.Context) (all []etcd.Peer, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range b.names {
		id := uint64(0x65)
		if name != "" {
			id = uint64(name[0]) + b.ids[name]
		}
		all = append(all, etcd.Peer{Name: name, ID: id})
	}
	return all, nil
}

func (b *book) Remove(_ context.Context, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails--; b.fails >= 0 {
		return errors.New("not enough of its servers are up")
	}
	if name == "65" {
		name = ""
	}
	if !slices.Contains(b.names, name) {
		return errors.New("there is none of this name")
	}
	b.names = slices.DeleteFunc(b.names, func(n string) bool { return n == name })
	return nil
}

func (b *book) Answers(_ context.Context, one etcd.Peer) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lives[one.Name]
}

func (b *book) change(how func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	how()
}

func (b *book) now() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.names)
}

// house is a cluster with Nodes, and servers that each look after the members.
type house struct {
	t      *testing.T
	client *fake.Clientset
	log    bytes.Buffer // of all servers, after they have ended
	rows   run.Rows     // of all
	events []string     // what users were told
	stop   func()
}

// start is for use in a bubble. The servers have the names of the first Nodes.
func start(t *testing.T, b *book, servers int, nodes ...string) *house {
	t.Helper()
	h := &house{t: t, client: fake.NewClientset()}
	for _, name := range nodes {
		h.add(name)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, servers)
	log := slog.New(slog.NewTextHandler(&h.log, nil))
	var factories []informers.SharedInformerFactory
	for i := range servers {
		factory := informers.NewSharedInformerFactory(h.client, 0)
		c := Config{Cluster: b, Own: nodes[i], Nodes: factory.Core().V1().Nodes().Informer(), Rows: &h.rows, Log: log,
			Warn: func(_ context.Context, server string, why error) error {
				h.events = append(h.events, server+": "+why.Error())
				return nil
			}}
		factory.Start(ctx.Done())
		factory.WaitForCacheSync(ctx.Done())
		factories = append(factories, factory)
		go func() { ended <- Run(ctx, c, func() {}) }()
	}
	time.Sleep(time.Second)
	h.stop = func() {
		cancel()
		for i := range servers {
			if err := <-ended; err != nil {
				t.Error(err)
			}
			factories[i].Shutdown()
		}
	}
	return h
}

// stranger is the Node of no server.
const stranger = "pi"

func (h *house) add(name string) {
	h.t.Helper()
	node := &core.Node{ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{}}}
	if name != stranger {
		node.Labels["node-role.kubernetes.io/control-plane"] = "true"
	}
	if _, err := h.client.CoreV1().Nodes().Create(h.t.Context(), node, meta.CreateOptions{}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) delete(name string) {
	h.t.Helper()
	if err := h.client.CoreV1().Nodes().Delete(h.t.Context(), name, meta.DeleteOptions{}); err != nil {
		h.t.Fatal(err)
	}
	time.Sleep(time.Second)
}

func TestAMemberLeavesWithItsNode(t *testing.T) {
	for name, c := range map[string]struct {
		members, deleted, want []string
		fails                  int
	}{
		"a server":                   {[]string{"a", "b", "c"}, []string{"b"}, []string{"a", "c"}, 0},
		"an agent":                   {[]string{"a", "b"}, []string{"pi"}, []string{"a", "b"}, 0},
		"a Node of its name":         {[]string{"a", "b", stranger}, []string{stranger}, []string{"a", "b", stranger}, 0},
		"a server with no majority":  {[]string{"a", "b", "c"}, []string{"b"}, []string{"a", "c"}, 3},
		"the last server":            {[]string{"a"}, []string{"a"}, []string{"a"}, 0},
		"the server itself":          {[]string{"a", "b"}, []string{"a"}, []string{"a", "b"}, 0},
		"two servers, and one stays": {[]string{"a", "b"}, []string{"a", "b"}, []string{"a"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &book{names: c.members, fails: c.fails}
				h := start(t, b, 1, "a", "b", "c", "pi")
				for _, name := range c.deleted {
					h.delete(name)
				}
				time.Sleep(time.Minute)
				if got := b.now(); !slices.Equal(got, c.want) {
					t.Errorf("the members are %v, not %v", got, c.want)
				}
				h.stop()
				if told := len(h.events) > 0; told != (c.fails > 0) || told && (len(h.events) > 1 || !strings.Contains(h.events[0], "b: ") ||
					!strings.Contains(h.events[0], "not enough of its servers")) {
					t.Errorf("users were told %q", h.events)
				}
				if rows := h.rows.Details(); len(rows) > 0 {
					t.Errorf("at the end the status says %v", rows)
				}
			})
		})
	}
}

// TestAMemberThatIsNeededWaits: its Node was deleted, and the others are no majority without it.
func TestAMemberThatIsNeededWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{names: []string{"a", "b", "c"}, fails: 1 << 20}
		h := start(t, b, 1, "a", "b", "c")
		h.delete("b")
		time.Sleep(time.Hour)
		if rows := h.rows.Details(); len(rows) != 1 || !rows[0].Bad || rows[0].State != staying || time.Since(rows[0].Since) < time.Hour || rows[0].Err == nil {
			t.Errorf("the status says %v", rows)
		}
		b.change(func() { b.fails = 0 })
		time.Sleep(2 * time.Minute)
		if rows := h.rows.Details(); len(rows) > 0 || len(b.now()) != 2 || len(h.events) != 1 {
			t.Errorf("at the end the status says %v, the members are %v, users were told %q", rows, b.now(), h.events)
		}
		h.stop()
	})
}

// TestWhoIsRemovedByName: a server that is gone and has no Node, and nobody else.
func TestWhoIsRemovedByName(t *testing.T) {
	for name, c := range map[string]struct {
		remove, says string
	}{
		"one that is gone":           {"c", ""},
		"one that has never started": {"65", ""},
		"the server that is asked":   {"a", "ask another"},
		"one with a Node":            {"b", "kubectl delete node b"},
		"one that runs":              {"d", "stop that server"},
		"none":                       {"x", "none of this name"},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := cache.NewSharedIndexInformer(&cache.ListWatch{}, &core.Node{}, 0, nil)
			if err := nodes.GetStore().Add(&core.Node{ObjectMeta: meta.ObjectMeta{Name: "b"}}); err != nil {
				t.Fatal(err)
			}
			b := &book{names: []string{"a", "b", "c", "d", ""}, lives: map[string]bool{"b": true, "d": true}}
			err := Remove(t.Context(), Config{Cluster: b, Own: "a", Nodes: nodes}, c.remove)
			if c.says == "" && (err != nil || len(b.now()) != 4) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || len(b.now()) != 5) {
				t.Errorf("%v, and the members are %v", err, b.now())
			}
		})
	}
}

func TestANodeThatIsBackKeepsItsMember(t *testing.T) {
	client := fake.NewClientset(&core.Node{ObjectMeta: meta.ObjectMeta{Name: "a"}})
	factory := informers.NewSharedInformerFactory(client, 0)
	nodes := factory.Core().V1().Nodes().Informer()
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())
	b := &book{names: []string{"a", "b"}}
	k := &keeper{Config: Config{Cluster: b, Nodes: nodes, Log: slog.New(slog.DiscardHandler)}, meant: map[string]uint64{}}
	if err := k.remove(t.Context(), "a"); err != nil || len(b.now()) != 2 {
		t.Errorf("%v, %v", b.now(), err)
	}
}

// TestEveryServerHears: whoever is first removes the member, and the others find nothing wrong.
func TestEveryServerHears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{names: []string{"a", "b", "c"}}
		h := start(t, b, 2, "a", "b", "c")
		h.delete("c")
		time.Sleep(time.Minute)
		h.stop()
		if got := b.now(); !slices.Equal(got, []string{"a", "b"}) || h.log.Len() > 0 {
			t.Errorf("the members are %v, and the log says %s", got, h.log.String())
		}
	})
}

func TestTheLastMemberIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{names: []string{"a"}}
		h := start(t, b, 1, "b", "a") // the server is no member any more
		h.delete("a")
		time.Sleep(time.Hour)
		h.stop()
		if n := strings.Count(h.log.String(), "it is the last one"); n != 1 || len(b.now()) != 1 {
			t.Errorf("told %d times: %s", n, h.log.String())
		}
	})
}

// TestAMachineThatTakesTheNameStays: its Node may not be made yet when a removal that failed is tried again.
func TestAMachineThatTakesTheNameStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{names: []string{"a", "b", "c"}, fails: 3}
		h := start(t, b, 1, "a", "b", "c")
		h.delete("c")
		b.change(func() { b.ids = map[string]uint64{"c": 1000} })
		time.Sleep(time.Hour)
		h.stop()
		if got := b.now(); len(got) != 3 {
			t.Errorf("the members are %v", got)
		}
	})
}

// TestMembersWithoutANode: one that does not answer is told and stays; one that answers is a server that is no node.
func TestMembersWithoutANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{names: []string{"a", "b", "c", "d"}, lives: map[string]bool{"c": true}}
		h := start(t, b, 1, "a", "d")
		time.Sleep(arrival - time.Minute)
		if rows := h.rows.Details(); len(rows) > 0 {
			t.Errorf("told before the servers had time to start: %v", rows)
		}
		time.Sleep(time.Hour)
		rows := h.rows.Details()
		if len(rows) != 1 || rows[0].Name != "member b" || !rows[0].Bad || len(b.now()) != 4 {
			t.Errorf("the status says %v, the members are %v", rows, b.now())
		}
		if !strings.Contains(rows[0].Err.Error(), "skerry datastore remove b") {
			t.Errorf("it does not say what to do: %v", rows[0].Err)
		}
		if err := b.Remove(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * look)
		if rows := h.rows.Details(); len(rows) > 0 || len(b.now()) != 3 {
			t.Errorf("after the cure the status says %v, the members are %v", rows, b.now())
		}
		h.stop()
		if n := strings.Count(h.log.String(), "belongs to no node"); n != 1 {
			t.Errorf("the log tells it %d times: %s", n, h.log.String())
		}
	})
}
