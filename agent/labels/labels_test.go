package labels

import (
	"encoding/json"
	"maps"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/skerry-io/skerry/internal/wire"
)

// applied is a Node on which a server has carried out the settings.
func applied(c Config) *core.Node {
	n := &core.Node{ObjectMeta: meta.ObjectMeta{Name: "pi", Labels: map[string]string{"other": "1"}}, Spec: core.NodeSpec{Taints: c.Taints}}
	done := wire.AppliedSettings{NodeSettings: wire.NodeSettings{Start: "1", Labels: c.Labels}, Seal: []byte("x")}
	for _, t := range c.Taints {
		done.Taints = append(done.Taints, wire.Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect)})
	}
	maps.Copy(n.Labels, c.Labels)
	text, _ := json.Marshal(done)
	n.Annotations = map[string]string{wire.AnnotationApplied: string(text), "kept": "1"}
	return n
}

func TestAStartAsksForWhatIsNotAsItShouldBe(t *testing.T) {
	settings := Config{Labels: map[string]string{"disk": "ssd"}, Taints: []core.Taint{{Key: "own", Value: "1", Effect: core.TaintEffectNoExecute}}}
	for name, test := range map[string]struct {
		config Config
		node   func() *core.Node
		asks   bool
	}{
		"nothing is set, nothing was": {Config{}, func() *core.Node { return &core.Node{ObjectMeta: meta.ObjectMeta{Name: "pi"}} }, false},
		"all is as it should be":      {settings, func() *core.Node { return applied(settings) }, false},
		"nothing was applied yet":     {settings, func() *core.Node { return applied(Config{}) }, true},
		"a setting is gone":           {Config{}, func() *core.Node { return applied(settings) }, true},
		"a label was changed since": {settings, func() *core.Node {
			n := applied(settings)
			n.Labels["disk"] = "by-hand"
			return n
		}, true},
		"a taint was removed since": {settings, func() *core.Node {
			n := applied(settings)
			n.Spec.Taints = nil
			return n
		}, true},
		"the note is damaged": {settings, func() *core.Node {
			n := applied(settings)
			n.Annotations[wire.AnnotationApplied] = "{"
			return n
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			before := test.node()
			client := fake.NewClientset(before)
			if err := test.config.ask(t.Context(), client, before); err != nil {
				t.Fatal(err)
			}
			after, err := client.CoreV1().Nodes().Get(t.Context(), "pi", meta.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var wanted wire.NodeSettings
			text, asked := after.Annotations[wire.AnnotationWanted]
			if asked != test.asks {
				t.Fatalf("it asks: %v, want %v", asked, test.asks)
			}
			if !asked {
				return
			}
			if err := json.Unmarshal([]byte(text), &wanted); err != nil || wanted.Start == "" || !maps.Equal(wanted.Labels, test.config.Labels) || len(wanted.Taints) != len(test.config.Taints) {
				t.Errorf("it asks for %s (%v)", text, err)
			}
			if after.Annotations["kept"] != before.Annotations["kept"] {
				t.Error("another annotation is gone")
			}
		})
	}
}
