package storage

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

const (
	uid  = "11111111-2222-3333-4444-555555555555"
	root = "/var/lib/skerry/storage/"
	name = "pvc-" + uid + "_web_data"
)

func claim(change ...func(*core.PersistentVolumeClaim)) *core.PersistentVolumeClaim {
	of := className
	c := &core.PersistentVolumeClaim{
		ObjectMeta: meta.ObjectMeta{Namespace: "web", Name: "data", UID: uid, ResourceVersion: "7",
			Annotations: map[string]string{annotationAsked: provisioner, annotationSelected: "pi"}},
		Spec: core.PersistentVolumeClaimSpec{
			StorageClassName: &of,
			AccessModes:      []core.PersistentVolumeAccessMode{core.ReadWriteOnce},
			Resources:        core.VolumeResourceRequirements{Requests: core.ResourceList{core.ResourceStorage: resource.MustParse("1Gi")}},
		},
		Status: core.PersistentVolumeClaimStatus{Phase: core.ClaimPending},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func member(name string, ready core.ConditionStatus) *core.Node {
	return &core.Node{ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{core.LabelHostname: name}},
		Status: core.NodeStatus{Conditions: []core.NodeCondition{{Type: core.NodeReady, Status: ready}}}}
}

func madeBy(node string) *core.PersistentVolume {
	v, err := volumeFor(claim(), class(), member(node, core.ConditionTrue), report())
	if err != nil {
		panic(err)
	}
	v.UID = "volume"
	v.Status.Phase = core.VolumeBound
	return v
}

func report() wire.VolumeReport {
	_, order := toMake(claim())
	order.Path = root + name
	return wire.VolumeReport{VolumeOrder: order, Enforced: true}
}

// start runs a provisioner until the test ends.
func start(t *testing.T, objects ...runtime.Object) (*Storage, kubernetes.Interface) {
	t.Helper()
	client := fake.NewClientset(objects...)
	s := New(&run.Rows{}, nil, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	ended, ready := make(chan error, 1), make(chan struct{})
	nodes := nodesOf(t, client)
	go func() { ended <- s.Run(ctx, client, nodes, func() { close(ready) }) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		t.Fatal("it does not become ready")
	}
	return s, client
}

// nodesOf watches the nodes of a fake cluster as long as the test.
func nodesOf(t *testing.T, client kubernetes.Interface) cache.SharedIndexInformer {
	t.Helper()
	factory := informers.NewSharedInformerFactory(client, 0)
	nodes := factory.Core().V1().Nodes().Informer()
	factory.Start(t.Context().Done())
	return nodes
}

// eventually waits for something to become true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// says tells whether an event about an object has all of the words.
func says(t *testing.T, client kubernetes.Interface, about string, words ...string) bool {
	t.Helper()
	events, err := client.CoreV1().Events("").List(t.Context(), meta.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(events.Items, func(e core.Event) bool {
		return e.InvolvedObject.Name == about && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(e.Reason+": "+e.Message, w) })
	})
}

func volume(t *testing.T, client kubernetes.Interface) *core.PersistentVolume {
	t.Helper()
	v, err := client.CoreV1().PersistentVolumes().Get(t.Context(), volumeName(uid), meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheClassIsTheOneThatK3sUsersKnowAndTheUsersChangesStay(t *testing.T) {
	_, client := start(t)
	c, err := client.StorageV1().StorageClasses().Get(t.Context(), "local-path", meta.GetOptions{})
	if err != nil || c.Provisioner != "rancher.io/local-path" || *c.VolumeBindingMode != storage.VolumeBindingWaitForFirstConsumer ||
		*c.ReclaimPolicy != core.PersistentVolumeReclaimDelete || c.Annotations["storageclass.kubernetes.io/is-default-class"] != "true" {
		t.Errorf("got %v, %v", c, err)
	}
	changed := class()
	changed.Annotations[annotationDefaultClass] = "false"
	_, client = start(t, changed)
	if c, err := client.StorageV1().StorageClasses().Get(t.Context(), className, meta.GetOptions{}); err != nil || c.Annotations[annotationDefaultClass] != "false" {
		t.Errorf("the user's change is lost: %v, %v", c, err)
	}
}

func TestAVolumeIsMadeOnceItsDirectoryIsThereAndGoesOnceItIsGone(t *testing.T) {
	s, client := start(t, class(), member("pi", core.ConditionTrue), member("other", core.ConditionTrue))
	ctx, stop := context.WithCancel(t.Context())
	lists, ended := make(chan wire.VolumeOrders, 10), make(chan error, 1)
	go func() {
		ended <- s.Orders(ctx, "pi", func(list wire.VolumeOrders) error { lists <- list; return nil })
	}()
	defer func() { stop(); <-ended }()
	next := func() []wire.VolumeOrder {
		select {
		case list := <-lists:
			return list.Orders
		case <-time.After(10 * time.Second):
			t.Fatal("no list came")
			return nil
		}
	}
	if first := next(); len(first) != 0 {
		t.Fatalf("the first list is %v", first)
	}
	if _, err := client.CoreV1().PersistentVolumeClaims("web").Create(t.Context(), claim(), meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	list := next()
	if len(list) != 1 || list[0].Folder != name || list[0].Bytes != 1<<30 || list[0].Remove {
		t.Fatalf("to make: %v", list)
	}
	r := report()
	for range 2 { // an answer can be lost
		if said, err := s.Report(t.Context(), "pi", r); err != nil || !said.Keep {
			t.Fatalf("%v, %v", said, err)
		}
	}
	if list := next(); len(list) != 0 {
		t.Fatalf("a volume that is made is ordered still: %v", list)
	}
	v := volume(t, client)
	affinity := v.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0]
	if v.Spec.Local.Path != root+name || v.Spec.Capacity.Storage().String() != "1Gi" || affinity.Key != core.LabelHostname || !slices.Equal(affinity.Values, []string{"pi"}) ||
		v.Spec.ClaimRef.UID != uid || v.Annotations[annotationQuota] != "enforced" || v.Spec.PersistentVolumeReclaimPolicy != core.PersistentVolumeReclaimDelete {
		t.Errorf("got the volume %v", v)
	}
	if err := client.CoreV1().PersistentVolumeClaims("web").Delete(t.Context(), "data", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	v.Status.Phase = core.VolumeReleased
	if _, err := client.CoreV1().PersistentVolumes().UpdateStatus(t.Context(), v, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if list = next(); len(list) != 1 || !list[0].Remove || list[0].Path != root+name || list[0].Volume != v.Name {
		t.Fatalf("to remove: %v", list)
	}
	for range 2 {
		if _, err := s.Report(t.Context(), "pi", wire.VolumeReport{VolumeOrder: list[0]}); err != nil {
			t.Fatal(err)
		}
	}
	if volume(t, client) != nil {
		t.Error("the volume is there although its directory is gone")
	}
	for len(next()) != 0 { // it may have heard of the volume's end first, and of the claim's later
	}
}

func TestOrdersAreForOneNodeAndForWhatCanBeDone(t *testing.T) {
	released := func(change ...func(*core.PersistentVolume)) *core.PersistentVolume {
		v := madeBy("pi")
		v.Status.Phase = core.VolumeReleased
		for _, f := range change {
			f(v)
		}
		return v
	}
	now := meta.Now()
	for name, test := range map[string]struct {
		node   string
		claim  *core.PersistentVolumeClaim
		volume *core.PersistentVolume
		orders int
	}{
		"a claim":                          {"pi", claim(), nil, 1},
		"another node's claim":             {"other", claim(), nil, 0},
		"a claim that has its volume":      {"pi", claim(), madeBy("pi"), 0},
		"a claim of another provisioner":   {"pi", claim(func(c *core.PersistentVolumeClaim) { c.Annotations[annotationAsked] = "nfs" }), nil, 0},
		"a claim that is bound":            {"pi", claim(func(c *core.PersistentVolumeClaim) { c.Status.Phase = core.ClaimBound }), nil, 0},
		"a claim that names a volume":      {"pi", claim(func(c *core.PersistentVolumeClaim) { c.Spec.VolumeName = "x" }), nil, 0},
		"a claim that is being deleted":    {"pi", claim(func(c *core.PersistentVolumeClaim) { c.DeletionTimestamp = &now }), nil, 0},
		"a claim for many nodes":           {"pi", claim(func(c *core.PersistentVolumeClaim) { c.Spec.AccessModes[0] = core.ReadWriteMany }), nil, 0},
		"a volume in use":                  {"pi", nil, madeBy("pi"), 0},
		"a volume in use, being deleted":   {"pi", nil, func() *core.PersistentVolume { v := madeBy("pi"); v.DeletionTimestamp = &now; return v }(), 0},
		"a released volume":                {"pi", nil, released(), 1},
		"a released volume, being deleted": {"pi", nil, released(func(v *core.PersistentVolume) { v.DeletionTimestamp = &now }), 1},
		"another node's released volume":   {"other", nil, released(), 0},
		"a released volume that is kept": {"pi", nil, released(func(v *core.PersistentVolume) {
			v.Spec.PersistentVolumeReclaimPolicy = core.PersistentVolumeReclaimRetain
		}), 0},
		"a released volume made by another": {"pi", nil, released(func(v *core.PersistentVolume) { v.Labels = nil }), 0},
		"a released volume in a host path": {"pi", nil, released(func(v *core.PersistentVolume) {
			v.Spec.HostPath, v.Spec.Local = &core.HostPathVolumeSource{Path: v.Spec.Local.Path}, nil
		}), 1},
	} {
		var claims []*core.PersistentVolumeClaim
		var volumes []*core.PersistentVolume
		if test.claim != nil {
			claims = append(claims, trimClaim(test.claim))
		}
		if test.volume != nil {
			volumes = append(volumes, test.volume)
		}
		if list := ordersFor(test.node, claims, volumes); len(list.Orders) != test.orders {
			t.Errorf("%s: got %v, want %d", name, list.Orders, test.orders)
		}
	}
}

func TestANodeReportsOnlyWhatItWasAskedFor(t *testing.T) {
	for what, test := range map[string]struct {
		node   string
		claim  func(*core.PersistentVolumeClaim)
		report func(*wire.VolumeReport)
	}{
		"another node":            {"other", nil, nil},
		"another claim's UID":     {"pi", nil, func(r *wire.VolumeReport) { r.UID = strings.ReplaceAll(uid, "1", "9") }},
		"another directory":       {"pi", nil, func(r *wire.VolumeReport) { r.Path = "/etc" }},
		"a path that climbs":      {"pi", nil, func(r *wire.VolumeReport) { r.Path = root + "../" + name }},
		"a path that is relative": {"pi", nil, func(r *wire.VolumeReport) { r.Path = name }},
		"a claim that is gone":    {"pi", nil, func(r *wire.VolumeReport) { r.Claim = "gone" }},
		"a claim that was chosen for another node meanwhile": {"pi", func(c *core.PersistentVolumeClaim) { c.Annotations[annotationSelected] = "other" }, nil},
		"a claim of another provisioner":                     {"pi", func(c *core.PersistentVolumeClaim) { c.Annotations[annotationAsked] = "nfs" }, nil},
	} {
		t.Run(what, func(t *testing.T) {
			c, r := claim(), report()
			if test.claim != nil {
				test.claim(c)
			}
			if test.report != nil {
				test.report(&r)
			}
			s, client := start(t, class(), member("pi", core.ConditionTrue), member("other", core.ConditionTrue), c)
			said, err := s.Report(t.Context(), test.node, r)
			if err != nil || said.Keep || volume(t, client) != nil {
				t.Errorf("the node is told %v (%v), and there is the volume %v", said, err, volume(t, client))
			}
		})
	}
}

func TestANodeCannotLetGoOfAVolumeThatIsNotItsOwnOrIsInUse(t *testing.T) {
	for what, test := range map[string]struct {
		node  string
		phase core.PersistentVolumePhase
	}{"another's": {"other", core.VolumeReleased}, "in use": {"pi", core.VolumeBound}} {
		v := madeBy("pi")
		v.Status.Phase = test.phase
		s, client := start(t, class(), member("pi", core.ConditionTrue), member("other", core.ConditionTrue), v)
		_, order := toRemove(v)
		if _, err := s.Report(t.Context(), test.node, wire.VolumeReport{VolumeOrder: order}); err != nil {
			t.Fatal(err)
		}
		if volume(t, client) == nil {
			t.Errorf("%s: it is gone", what)
		}
	}
}

func TestTroubleOfANodeIsShown(t *testing.T) {
	v := madeBy("pi")
	v.Name, v.Status.Phase = "pvc-x", core.VolumeReleased
	s, client := start(t, class(), member("pi", core.ConditionTrue), claim(), v)
	r := report()
	r.Trouble = "the disk is too small"
	_, order := toRemove(v)
	for _, r := range []wire.VolumeReport{r, r, {VolumeOrder: order, Trouble: "something is mounted"}} {
		if _, err := s.Report(t.Context(), "pi", r); err != nil {
			t.Fatal(err)
		}
	}
	if !says(t, client, "data", "ProvisioningFailed", "node pi: the disk is too small") || !says(t, client, "pvc-x", "VolumeFailedDelete", "something is mounted") {
		t.Error("it is not said")
	}
	events, err := client.CoreV1().Events("web").List(t.Context(), meta.ListOptions{})
	if err != nil || len(events.Items) != 1 || events.Items[0].Count != 2 {
		t.Errorf("got %v, %v; want one event that counts", events, err)
	}
}

func TestLongNamesFit(t *testing.T) {
	long := strings.Repeat("a", 253)
	if got := folder(uid, strings.Repeat("n", 63), long); len(got) != 255 || !strings.HasPrefix(got, "pvc-"+uid+"_nnn") {
		t.Errorf("got %q", got)
	}
	if got := folder(uid, "web", "data"); got != name {
		t.Errorf("got %q", got)
	}
}

func TestANodeThatListensDoesNotDelayTheEnd(t *testing.T) {
	client := fake.NewClientset(class())
	s := New(nil, nil, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	ended, listens := make(chan error, 2), make(chan struct{})
	nodes := nodesOf(t, client)
	go func() { ended <- s.Run(ctx, client, nodes, func() {}) }()
	go func() {
		ended <- s.Orders(t.Context(), "pi", func(wire.VolumeOrders) error { close(listens); return nil })
	}()
	<-listens
	stop()
	for range 2 {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("it goes on")
		}
	}
}
