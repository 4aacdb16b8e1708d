package nodesettings

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/skerry-io/skerry/internal/wire"
)

const secret = "the servers' own"

type (
	labels = map[string]string
	taints = []string // key=value:effect
)

func node(l labels, t taints) *core.Node {
	n := &core.Node{ObjectMeta: meta.ObjectMeta{Name: "pi", UID: "1234", Labels: maps.Clone(l)}}
	for _, text := range t {
		w := parse(text)
		n.Spec.Taints = append(n.Spec.Taints, core.Taint{Key: w.Key, Value: w.Value, Effect: core.TaintEffect(w.Effect)})
	}
	return n
}

func parse(text string) wire.Taint {
	rest, effect, _ := strings.Cut(text, ":")
	key, value, _ := strings.Cut(rest, "=")
	return wire.Taint{Key: key, Value: value, Effect: effect}
}

func has(n *core.Node) (l labels, t taints) {
	for _, have := range n.Spec.Taints {
		t = append(t, fmt.Sprintf("%s=%s:%s", have.Key, have.Value, have.Effect))
	}
	slices.Sort(t)
	return n.Labels, t
}

// ask writes a request onto a Node, as the node does.
func ask(n *core.Node, start string, l labels, t taints) {
	w := wire.NodeSettings{Start: start, Labels: l}
	for _, text := range t {
		w.Taints = append(w.Taints, parse(text))
	}
	text, _ := json.Marshal(w)
	meta.SetMetaDataAnnotation(&n.ObjectMeta, wire.AnnotationWanted, string(text))
}

func TestApply(t *testing.T) {
	type settings struct {
		labels labels
		taints taints
	}
	for name, test := range map[string]struct {
		have    settings   // on the Node before, from others
		asked   []settings // one start after the other
		want    settings
		refused []string
	}{
		"what is asked for is given": {
			settings{labels{"a": "1"}, taints{"x=1:NoSchedule"}}, []settings{{labels{"disk": "ssd"}, taints{"own=1:NoExecute"}}},
			settings{labels{"a": "1", "disk": "ssd"}, taints{"own=1:NoExecute", "x=1:NoSchedule"}}, nil},
		"what is asked for no more is taken away, and nothing else": {
			settings{labels{"a": "1"}, taints{"x=1:NoSchedule"}}, []settings{{labels{"disk": "ssd"}, taints{"own=1:NoExecute"}}, {}},
			settings{labels{"a": "1"}, taints{"x=1:NoSchedule"}}, nil},
		"what is asked for with another value changes": {
			settings{}, []settings{{labels{"disk": "ssd"}, taints{"own=1:NoExecute"}}, {labels{"disk": "hdd"}, taints{"own=2:NoExecute"}}},
			settings{labels{"disk": "hdd"}, taints{"own=2:NoExecute"}}, nil},
		"the node registered with it": {
			settings{labels{"disk": "ssd"}, taints{"own=1:NoExecute"}}, []settings{{labels{"disk": "ssd"}, taints{"own=1:NoExecute"}}, {}},
			settings{labels{}, nil}, nil},
		"what is not a node's to take is refused": {
			settings{}, []settings{{labels{"node-restriction.kubernetes.io/a": "1", "x.k8s.io/b": "1", "node-role.kubernetes.io/control-plane": "true",
				"topology.kubernetes.io/zone": "z", "node.kubernetes.io/any": "1", "example.com/kubernetes.io": "1"},
				taints{"node.kubernetes.io/unreachable=:NoExecute", "node-role.kubernetes.io/control-plane=:NoSchedule"}}},
			settings{labels{"topology.kubernetes.io/zone": "z", "node.kubernetes.io/any": "1", "example.com/kubernetes.io": "1"},
				taints{"node-role.kubernetes.io/control-plane=:NoSchedule"}},
			[]string{"node-restriction.kubernetes.io/a", "node-role.kubernetes.io/control-plane", "node.kubernetes.io/unreachable", "x.k8s.io/b"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, n := seal(secret), node(test.have.labels, test.have.taints)
			var refused []string
			for i, a := range test.asked {
				ask(n, fmt.Sprint(i), a.labels, a.taints)
				if !s.open(n) {
					t.Fatal("the request is not seen")
				}
				var err error
				if refused, err = s.apply(n); err != nil {
					t.Fatal(err)
				}
				if s.open(n) {
					t.Fatal("the request is carried out again and again")
				}
			}
			if l, ta := has(n); !maps.Equal(l, test.want.labels) || !slices.Equal(ta, test.want.taints) || !slices.Equal(refused, test.refused) {
				t.Errorf("got %v %v refused %v, want %v", l, ta, refused, test.want)
			}
		})
	}
}

func TestWhatOthersChangedAfterwardsIsTheirs(t *testing.T) {
	s, n := seal(secret), node(nil, nil)
	ask(n, "1", labels{"disk": "ssd", "rack": "1"}, taints{"own=1:NoExecute"})
	if _, err := s.apply(n); err != nil {
		t.Fatal(err)
	}
	n.Labels["disk"], n.Spec.Taints[0].Value = "by-hand", "by-hand"
	ask(n, "2", nil, nil)
	if _, err := s.apply(n); err != nil {
		t.Fatal(err)
	}
	if l, ta := has(n); !maps.Equal(l, labels{"disk": "by-hand"}) || !slices.Equal(ta, taints{"own=by-hand:NoExecute"}) {
		t.Errorf("got %v %v", l, ta)
	}
}

func TestANodeCannotHaveATaintTakenAwayThatItWasNotGiven(t *testing.T) {
	forge := func(n *core.Node, seal []byte) {
		text, _ := json.Marshal(wire.AppliedSettings{NodeSettings: wire.NodeSettings{Start: "1", Taints: []wire.Taint{parse("quarantine=:NoExecute")}}, Seal: seal})
		meta.SetMetaDataAnnotation(&n.ObjectMeta, wire.AnnotationApplied, string(text))
	}
	elsewhere := node(nil, taints{"quarantine=:NoExecute"})
	elsewhere.UID = "another"
	borrowed, err := seal(secret).of(elsewhere, wire.NodeSettings{Start: "1", Taints: []wire.Taint{parse("quarantine=:NoExecute")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, stamp := range map[string][]byte{"without a seal": nil, "with a made up one": []byte("x"), "with another node's": borrowed} {
		n := node(nil, taints{"quarantine=:NoExecute"})
		forge(n, stamp)
		ask(n, "2", nil, nil)
		if _, err := seal(secret).apply(n); err != nil {
			t.Fatal(err)
		}
		if _, ta := has(n); !slices.Equal(ta, taints{"quarantine=:NoExecute"}) {
			t.Errorf("%s: got %v", name, ta)
		}
	}
}

func TestNonsenseIsNoRequest(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"labels":{"a":"1"}}`, `{"start":1}`} {
		n := node(nil, nil)
		meta.SetMetaDataAnnotation(&n.ObjectMeta, wire.AnnotationWanted, text)
		if seal(secret).open(n) {
			t.Errorf("%q is taken for a request", text)
		}
	}
}

// until waits for the Node to satisfy done.
func until(t *testing.T, client kubernetes.Interface, done func(*core.Node) bool) *core.Node {
	t.Helper()
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		n, err := client.CoreV1().Nodes().Get(t.Context(), "pi", meta.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if done(n) {
			return n
		}
	}
	t.Fatal("the Node did not change")
	return nil
}

func TestRequestsAreCarriedOutWhenTheyAreMade(t *testing.T) {
	there := node(labels{"a": "1"}, nil)
	there.Status.NodeInfo.KubeletVersion = "kept"
	ask(there, "1", labels{"disk": "ssd"}, nil)
	client := fake.NewClientset(there)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, client, Config{Nodes: nodesOf(t, client), Own: "none", Secret: []byte(secret), Log: slog.New(slog.DiscardHandler)}, func() {})
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	n := until(t, client, func(n *core.Node) bool { return n.Labels["disk"] == "ssd" })
	if n.Labels["a"] != "1" || n.Status.NodeInfo.KubeletVersion != "kept" {
		t.Errorf("the Node lost something: %v", n)
	}
	ask(n, "2", labels{"node-restriction.kubernetes.io/a": "1"}, taints{"own=1:NoExecute"})
	if _, err := client.CoreV1().Nodes().Update(t.Context(), n, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	n = until(t, client, func(n *core.Node) bool { return len(n.Spec.Taints) == 1 })
	if l, _ := has(n); !maps.Equal(l, labels{"a": "1"}) {
		t.Errorf("got %v", l)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		events, err := client.CoreV1().Events("default").List(t.Context(), meta.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(events.Items) == 1 && strings.Contains(events.Items[0].Message, "node-restriction.kubernetes.io/a") {
			return
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("got the events %v", events.Items)
		}
	}
}

func TestNoNodeOfOursWaitsForACloudController(t *testing.T) {
	waits := core.Taint{Key: cloudTaint, Value: "true", Effect: core.TaintEffectNoSchedule}
	ours, theirs := node(nil, taints{"x=1:NoSchedule"}), node(nil, nil)
	ours.Spec.ProviderID, ours.Spec.Taints = wire.ProviderPrefix+"pi", append(ours.Spec.Taints, waits)
	theirs.Name, theirs.Spec.ProviderID, theirs.Spec.Taints = "cloudy", "hcloud://1", []core.Taint{waits}
	client := fake.NewClientset(ours, theirs)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, client, Config{Nodes: nodesOf(t, client), Own: "none", Log: slog.New(slog.DiscardHandler)}, func() {})
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	n := until(t, client, func(n *core.Node) bool { return len(n.Spec.Taints) == 1 })
	if _, left := has(n); !slices.Equal(left, taints{"x=1:NoSchedule"}) || n.Spec.ProviderID == "" {
		t.Errorf("got %v of %q", left, n.Spec.ProviderID)
	}
	if other, err := client.CoreV1().Nodes().Get(t.Context(), "cloudy", meta.GetOptions{}); err != nil || len(other.Spec.Taints) != 1 {
		t.Errorf("another provider's node has %v, %v", other.Spec.Taints, err)
	}
}

func TestTheServersOwnNodeGetsItsRoleOnce(t *testing.T) {
	other := node(nil, nil)
	other.Name = "agent"
	client := fake.NewClientset(node(nil, nil), other)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, client, Config{Nodes: nodesOf(t, client), Own: "pi", Log: slog.New(slog.DiscardHandler)}, func() {})
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	n := until(t, client, func(n *core.Node) bool { return n.Labels[roleLabel] == "true" })
	delete(n.Labels, roleLabel)
	ask(n, "1", labels{"disk": "ssd"}, nil)
	if _, err := client.CoreV1().Nodes().Update(t.Context(), n, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	n = until(t, client, func(n *core.Node) bool { return n.Labels["disk"] == "ssd" })
	if _, back := n.Labels[roleLabel]; back {
		t.Error("who took the role away is overruled")
	}
	if agent, err := client.CoreV1().Nodes().Get(t.Context(), "agent", meta.GetOptions{}); err != nil || len(agent.Labels) > 0 {
		t.Errorf("another node got %v, %v", agent.Labels, err)
	}
}

// nodesOf watches the nodes of a fake cluster as long as the test.
func nodesOf(t *testing.T, client kubernetes.Interface) cache.SharedIndexInformer {
	t.Helper()
	factory := informers.NewSharedInformerFactory(client, 0)
	nodes := factory.Core().V1().Nodes().Informer()
	factory.Start(t.Context().Done())
	return nodes
}
