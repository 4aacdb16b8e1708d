package kubelet

import (
	"context"
	"errors"
	"slices"
	"testing"

	"k8s.io/kubernetes/pkg/volume"
	"k8s.io/kubernetes/pkg/volume/csi"
)

// fakeCSI counts how often it is initialized and reports as the real one does.
type fakeCSI struct {
	csiVolumePlugin
	inits  int
	failed error // reported before it works
}

func (*fakeCSI) GetPluginName() string { return csi.CSIPluginName }

func (f *fakeCSI) Init(host volume.VolumeHost) error {
	f.inits++
	kubelet := host.(volume.KubeletVolumeHost)
	kubelet.SetKubeletError(errors.New("not yet initialized"))
	if f.failed != nil {
		kubelet.SetKubeletError(f.failed)
	}
	kubelet.SetKubeletError(nil)
	return nil
}

// fakeHost notes what a plugin reports.
type fakeHost struct {
	volume.VolumeHost
	volume.KubeletVolumeHost
	reports []error
}

func (h *fakeHost) SetKubeletError(err error) { h.reports = append(h.reports, err) }

func TestTheCSIPluginHasTheLastWord(t *testing.T) {
	plugin := &fakeCSI{}
	plugins := []volume.VolumePlugin{plugin}
	word, err := replaceCSI(plugins)
	if err != nil {
		t.Fatal(err)
	}
	host := &fakeHost{}
	if err := plugins[0].Init(host); err != nil {
		t.Fatal(err)
	}
	built := make(chan struct{})
	close(built)
	if err := word.again(t.Context(), built); err != nil {
		t.Fatal(err)
	}
	if plugin.inits != 2 {
		t.Errorf("initialized %d times", plugin.inits)
	}
	if !slices.Equal(host.reports, []error{nil, nil}) {
		t.Errorf("a node that is Ready heard %v", host.reports)
	}
}

func TestANodeHearsWhyItsCSIPluginFails(t *testing.T) {
	failed := errors.New("the API server refused")
	plugins := []volume.VolumePlugin{&fakeCSI{failed: failed}}
	if _, err := replaceCSI(plugins); err != nil {
		t.Fatal(err)
	}
	host := &fakeHost{}
	if err := plugins[0].Init(host); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(host.reports, []error{failed, nil}) {
		t.Errorf("heard %v", host.reports)
	}
}

func TestWithoutControllersThePluginIsLeftAlone(t *testing.T) {
	plugin := &fakeCSI{}
	word, err := replaceCSI([]volume.VolumePlugin{plugin})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := word.again(ctx, nil); err != nil || plugin.inits != 0 {
		t.Errorf("%v, initialized %d times", err, plugin.inits)
	}
}

func TestTheRealPluginCanBeReplaced(t *testing.T) {
	if _, err := replaceCSI(csi.ProbeVolumePlugins()); err != nil {
		t.Error(err)
	}
}
