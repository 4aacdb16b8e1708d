package storage

import (
	"slices"
	"testing"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
)

func TestWhatCannotBeIsSaidAtTheClaim(t *testing.T) {
	block, other := core.PersistentVolumeBlock, "none"
	immediate, parameter := class(), class()
	immediate.Name, parameter.Name = "immediate", "parameter"
	now := storage.VolumeBindingImmediate
	immediate.VolumeBindingMode = &now
	parameter.Parameters = map[string]string{"pathPattern": "x"}
	for words, change := range map[string]func(*core.PersistentVolumeClaim){
		"volumeMode Block is not possible": func(c *core.PersistentVolumeClaim) { c.Spec.VolumeMode = &block },
		"access mode ReadWriteMany is not possible": func(c *core.PersistentVolumeClaim) {
			c.Spec.AccessModes = []core.PersistentVolumeAccessMode{core.ReadWriteMany}
		},
		"access mode ReadOnlyMany is not possible": func(c *core.PersistentVolumeClaim) {
			c.Spec.AccessModes = []core.PersistentVolumeAccessMode{core.ReadOnlyMany}
		},
		"selector":               func(c *core.PersistentVolumeClaim) { c.Spec.Selector = &meta.LabelSelector{} },
		"snapshot":               func(c *core.PersistentVolumeClaim) { c.Spec.DataSource = &core.TypedLocalObjectReference{Name: "x"} },
		`no StorageClass "none"`: func(c *core.PersistentVolumeClaim) { c.Spec.StorageClassName = &other },
		"WaitForFirstConsumer": func(c *core.PersistentVolumeClaim) {
			c.Spec.StorageClassName, c.Annotations = &immediate.Name, map[string]string{annotationAskedBefore: provisioner}
		},
		"parameter pathPattern":          func(c *core.PersistentVolumeClaim) { c.Spec.StorageClassName = &parameter.Name },
		"it can be local or hostPath":    func(c *core.PersistentVolumeClaim) { c.Annotations[annotationVolumeType] = "nfs" },
		"node pi, which was to have the": func(*core.PersistentVolumeClaim) {},
	} {
		t.Run(words, func(t *testing.T) {
			_, client := start(t, class(), immediate, parameter, claim(change))
			eventually(t, "an event that says so", func() bool { return says(t, client, "data", words) })
			if volume(t, client) != nil {
				t.Error("there is a volume")
			}
		})
	}
}

func TestAClaimWhoseNodeIsGoneGetsAnotherChoice(t *testing.T) {
	_, client := start(t, class(), member("other", core.ConditionTrue), claim())
	eventually(t, "the choice is taken back", func() bool {
		c, err := client.CoreV1().PersistentVolumeClaims("web").Get(t.Context(), "data", meta.GetOptions{})
		return err == nil && c.Annotations[annotationSelected] == "" && c.Annotations[annotationAsked] == provisioner
	})
}

func TestWhatANodesAbsenceMeans(t *testing.T) {
	released := madeBy("pi")
	released.Status.Phase = core.VolumeReleased
	deleted := released.DeepCopy()
	now := meta.Now()
	deleted.DeletionTimestamp = &now
	kept := deleted.DeepCopy()
	kept.Spec.PersistentVolumeReclaimPolicy = core.PersistentVolumeReclaimRetain
	for what, test := range map[string]struct {
		volume *core.PersistentVolume
		node   *core.Node
		about  string
		words  []string // none: our finalizer is gone
	}{
		"a claim whose node is gone":             {madeBy("pi"), nil, "data", []string{"NodeGone", "node pi", volumeName(uid)}},
		"a volume whose node is gone":            {madeBy("pi"), nil, volumeName(uid), []string{"NodeGone"}},
		"a released volume whose node is gone":   {released, nil, volumeName(uid), []string{"NodeGone", "kubectl delete pv"}},
		"a released volume whose node is silent": {released, member("pi", core.ConditionUnknown), volumeName(uid), []string{"WaitForNode"}},
		"a deleted volume whose node is gone":    {deleted, nil, volumeName(uid), nil},
		"a deleted volume that is retained":      {kept, member("pi", core.ConditionTrue), volumeName(uid), nil},
	} {
		t.Run(what, func(t *testing.T) {
			objects := []runtime.Object{class(), test.volume.DeepCopy()}
			if test.node != nil {
				objects = append(objects, test.node)
			}
			_, client := start(t, objects...)
			eventually(t, what, func() bool {
				if test.words == nil {
					v := volume(t, client)
					return v == nil || len(v.Finalizers) == 0
				}
				return says(t, client, test.about, test.words...)
			})
		})
	}
}

func TestANodeThatLeavesIsNoticed(t *testing.T) {
	_, client := start(t, class(), member("pi", core.ConditionTrue), madeBy("pi"))
	if err := client.CoreV1().Nodes().Delete(t.Context(), "pi", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an event at the claim", func() bool { return says(t, client, "data", "NodeGone") })
}

func TestSwitchedOffItLeavesOnlyData(t *testing.T) {
	client := fake.NewClientset(class(), madeBy("pi"), &storage.StorageClass{ObjectMeta: meta.ObjectMeta{Name: "mine"}})
	for range 2 {
		if err := Leave(t.Context(), client); err != nil {
			t.Fatal(err)
		}
	}
	classes, err := client.StorageV1().StorageClasses().List(t.Context(), meta.ListOptions{})
	if err != nil || len(classes.Items) != 1 || classes.Items[0].Name != "mine" {
		t.Errorf("classes: %v, %v", classes, err)
	}
	if v := volume(t, client); v == nil || len(v.Finalizers) != 0 {
		t.Errorf("the volume: %v", v)
	}
}

func TestSwitchedOnAgainVolumesAreLookedAfter(t *testing.T) {
	v := madeBy("pi")
	v.Finalizers = nil
	_, client := start(t, class(), member("pi", core.ConditionTrue), v)
	eventually(t, "the finalizer", func() bool { return slices.Contains(volume(t, client).Finalizers, finalizer) })
}
