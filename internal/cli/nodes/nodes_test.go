package nodes

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	policy "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/nodes"
)

func node(name, address string, ready bool) *core.Node {
	status := core.ConditionFalse
	if ready {
		status = core.ConditionTrue
	}
	return &core.Node{
		ObjectMeta: meta.ObjectMeta{Name: name, UID: "uid-of-node", CreationTimestamp: meta.NewTime(time.Now().Add(-3 * time.Hour)),
			Labels: map[string]string{"node-role.kubernetes.io/edge": ""}},
		Status: core.NodeStatus{
			Conditions: []core.NodeCondition{{Type: core.NodeReady, Status: status}},
			Addresses:  []core.NodeAddress{{Type: core.NodeInternalIP, Address: address}, {Type: core.NodeHostName, Address: name}},
			NodeInfo:   core.NodeSystemInfo{KubeletVersion: "v1.36.4", OSImage: "Debian"},
		},
	}
}

func key(name string) *core.Secret {
	return &core.Secret{ObjectMeta: meta.ObjectMeta{Namespace: "kube-system", Name: nodes.RecordName(name)}, Type: nodes.SecretType,
		Data: map[string][]byte{"fingerprint": []byte(strings.Repeat("ab", 32))}}
}

// apiServer announces the server at 10.0.0.1.
func apiServer() *discovery.EndpointSlice {
	port := int32(6443)
	return &discovery.EndpointSlice{
		ObjectMeta: meta.ObjectMeta{Namespace: "default", Name: "kubernetes", Labels: map[string]string{discovery.LabelServiceName: "kubernetes"}},
		Endpoints:  []discovery.Endpoint{{Addresses: []string{"10.0.0.1"}}}, Ports: []discovery.EndpointPort{{Port: &port}},
	}
}

func pod(name, owner string) *core.Pod {
	p := &core.Pod{ObjectMeta: meta.ObjectMeta{Namespace: "default", Name: name, UID: "uid-of-pod"}, Spec: core.PodSpec{NodeName: "pi"}}
	if owner != "" {
		yes := true
		p.OwnerReferences = []meta.OwnerReference{{APIVersion: "apps/v1", Kind: owner, Name: "it", Controller: &yes}}
	}
	return p
}

// evicting makes a fake cluster in which a pod that is evicted goes, unless refuse has an error for it.
func evicting(refuse func(name string) error, objects ...runtime.Object) *fake.Clientset {
	client := fake.NewSimpleClientset(append(objects, apiServer(), &apps.DaemonSet{ObjectMeta: meta.ObjectMeta{Namespace: "default", Name: "it"}})...)
	client.Resources = []*meta.APIResourceList{{GroupVersion: "v1", APIResources: []meta.APIResource{
		{Name: "pods/eviction", Kind: "Eviction", Group: "policy", Version: "v1"}}}}
	client.PrependReactor("create", "pods", func(action kubetesting.Action) (bool, runtime.Object, error) {
		if action.GetSubresource() != "eviction" {
			return false, nil, nil
		}
		name := action.(kubetesting.CreateAction).GetObject().(*policy.Eviction).Name
		if err := refuse(name); err != nil {
			return true, nil, err
		}
		return true, nil, client.Tracker().Delete(core.SchemeGroupVersion.WithResource("pods"), "default", name)
	})
	return client
}

func willing(string) error { return nil }

// changes are the requests that changed something, as "verb resource".
func changes(client *fake.Clientset) []string {
	var all []string
	for _, a := range client.Actions() {
		if !slices.Contains([]string{"get", "list", "watch"}, a.GetVerb()) {
			all = append(all, strings.TrimSuffix(a.GetVerb()+" "+a.GetResource().Resource+"/"+a.GetSubresource(), "/"))
		}
	}
	return all
}

func wantFault(t *testing.T, what string, err error, want, cure string) {
	t.Helper()
	var told *fault.Fault
	if !errors.As(err, &told) || !strings.Contains(told.Cure(), cure) || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %q with the cure %q", what, err, want, cure)
	}
}

func TestList(t *testing.T) {
	away := node("away", "10.0.0.3", false)
	away.Spec.Unschedulable = true
	away.Annotations = map[string]string{wire.HoldKey: "true", wire.AutonomyKey: "12h"}
	client := fake.NewSimpleClientset(node("base", "10.0.0.1", true), away, key("base"), apiServer())
	var text, wide, parsed bytes.Buffer
	for form, out := range map[string]io.Writer{"text": &text, "wide": &wide, "json": &parsed} {
		if err := list(t.Context(), client, form, out); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{`(?m)^NAME +STATUS +ROLES +VERSION +ADDRESS +AGE +KEY$`,
		`(?m)^base +Ready +control-plane,edge +v1.36.4 +10.0.0.1 +3h +abababababab$`,
		`(?m)^away +NotReady,SchedulingDisabled,Held +edge +v1.36.4 +10.0.0.3 +3h +-$`} {
		if !regexp.MustCompile(want).Match(text.Bytes()) {
			t.Errorf("no %s in\n%s", want, &text)
		}
	}
	if !regexp.MustCompile(`(?m)^base .* (ab){32} +- +- +- +Debian `).Match(wide.Bytes()) || !regexp.MustCompile(`(?m)^away .* 12h +Debian `).Match(wide.Bytes()) {
		t.Errorf("wide:\n%s", &wide)
	}
	var entries []map[string]any
	if err := json.Unmarshal(parsed.Bytes(), &entries); err != nil || len(entries) != 2 || entries[1]["keyFingerprint"] != strings.Repeat("ab", 32) {
		t.Errorf("%v\n%s", err, &parsed)
	}
}

func TestReplace(t *testing.T) {
	agree, refuse := func() error { return nil }, func() error { return fault.New("nothing was changed") }
	client := fake.NewSimpleClientset(node("pi", "10.0.0.2", true), key("pi"), node("old", "10.0.0.3", true))
	if err := replace(t.Context(), client, "pi", io.Discard, refuse); err == nil || len(changes(client)) > 0 {
		t.Errorf("without a yes: %v, %q", err, changes(client))
	}
	wantFault(t, "unknown", replace(t.Context(), client, "po", io.Discard, agree), "no node po", "node list")
	wantFault(t, "no key", replace(t.Context(), client, "old", io.Discard, agree), "no key is recorded", "free")
	var out bytes.Buffer
	if err := replace(t.Context(), client, "pi", &out, agree); err != nil || !strings.Contains(out.String(), "forgotten") {
		t.Errorf("%v, %s", err, &out)
	}
	if got := changes(client); !slices.Equal(got, []string{"delete secrets"}) {
		t.Errorf("changed %q", got)
	}
}

func TestRemove(t *testing.T) {
	client := evicting(willing, node("pi", "10.0.0.2", true), key("pi"), pod("web", "ReplicaSet"), pod("log", "DaemonSet"))
	var out bytes.Buffer
	if err := remove(t.Context(), client, command.NodeRemove{Timeout: time.Minute}, "pi", &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	want := []string{"patch nodes", "create pods/eviction", "delete nodes", "delete secrets"}
	if got := changes(client); !slices.Equal(got, want) {
		t.Errorf("changed %q\n%s", got, &out)
	}
	if !strings.Contains(out.String(), "pod default/web is gone") || !strings.Contains(out.String(), "node pi is removed") {
		t.Errorf("told\n%s", &out)
	}
	wantFault(t, "again", remove(t.Context(), client, command.NodeRemove{}, "pi", io.Discard), "no node pi", "node list")
}

func TestRemoveGoesOnWhereItEnded(t *testing.T) {
	client := evicting(willing, key("pi"))
	if err := remove(t.Context(), client, command.NodeRemove{}, "pi", io.Discard); err != nil || !slices.Equal(changes(client), []string{"delete secrets"}) {
		t.Errorf("%v, %q", err, changes(client))
	}
}

func TestRemoveChangesNothing(t *testing.T) {
	data := pod("data", "ReplicaSet")
	data.Spec.Volumes = []core.Volume{{Name: "x", VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}}}}
	for name, c := range map[string]struct {
		objects []runtime.Object
		want    string
		cure    string
	}{
		"of a server":            {[]runtime.Object{node("pi", "10.0.0.1", true)}, "is a server", "uninstall"},
		"of an unknown node":     {[]runtime.Object{node("po", "10.0.0.2", true)}, "no node pi", "node list"},
		"with a pod on its own":  {[]runtime.Object{node("pi", "10.0.0.2", true), pod("alone", "")}, "default/alone", "flags named"},
		"with data in emptyDirs": {[]runtime.Object{node("pi", "10.0.0.2", true), data}, "--delete-emptydir-data", "flags named"},
	} {
		client := evicting(willing, c.objects...)
		err := remove(t.Context(), client, command.NodeRemove{Timeout: time.Minute}, "pi", io.Discard)
		wantFault(t, name, err, c.want, c.cure)
		if got := changes(client); len(got) > 0 {
			t.Errorf("%s: changed %q", name, got)
		}
	}
	wantFault(t, "timeout", Remove(t.Context(), command.Env{}, command.NodeRemove{Timeout: -1}, []string{"pi"}), "past", "10m")
}

func TestWithForceAllPodsGo(t *testing.T) {
	data := pod("data", "")
	data.Spec.Volumes = []core.Volume{{Name: "x", VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}}}}
	client := evicting(willing, node("pi", "10.0.0.2", true), data)
	if err := remove(t.Context(), client, command.NodeRemove{Timeout: time.Minute, Force: true, EmptyDir: true}, "pi", io.Discard); err != nil {
		t.Error(err)
	}
}

func TestADrainThatCannotEndKeepsTheNode(t *testing.T) {
	refuse := func(string) error { return apierrors.NewInternalError(errors.New("disk full")) }
	client := evicting(refuse, node("pi", "10.0.0.2", true), key("pi"), pod("web", "ReplicaSet"))
	err := remove(t.Context(), client, command.NodeRemove{Timeout: time.Minute}, "pi", io.Discard)
	wantFault(t, "refused", err, "disk full", "uncordon pi")
	if got := changes(client); !slices.Equal(got, []string{"patch nodes", "create pods/eviction"}) {
		t.Errorf("changed %q", got)
	}
}

// Nobody ends the pods of a machine that is gone for good: they are marked, and that has to do.
func TestANodeThatIsGoneCanBeRemoved(t *testing.T) {
	lost := pod("web", "ReplicaSet")
	marked := meta.NewTime(time.Now().Add(-time.Minute))
	lost.DeletionTimestamp = &marked
	client := evicting(func(string) error { return nil }, node("pi", "10.0.0.2", false), key("pi"), lost)
	client.PrependReactor("create", "pods", func(kubetesting.Action) (bool, runtime.Object, error) { return true, nil, nil })
	if err := remove(t.Context(), client, command.NodeRemove{Timeout: 10 * time.Second}, "pi", io.Discard); err != nil {
		t.Error(err)
	}
}
