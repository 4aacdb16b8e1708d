package kubelet

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"k8s.io/kubernetes/pkg/volume"
	"k8s.io/kubernetes/pkg/volume/csi"
)

// Kubernetes' CSI plugin keeps the node it works for in package variables. The attach-detach controller, which has no
// node, overwrites them when it is built in the same process: after that the node never becomes Ready, or never takes
// a CSI driver, depending on the moment. So where controllers run beside the kubelet, its plugin is initialized once
// more when they are built. The last one wins.

// csiVolumePlugin is all that the CSI plugin can do for a kubelet.
type csiVolumePlugin interface {
	volume.VolumePlugin
	volume.AttachableVolumePlugin
	volume.DeviceMountableVolumePlugin
	volume.BlockVolumePlugin
	volume.NodeExpandableVolumePlugin
}

// lastWord is the CSI plugin, with the means to initialize it again.
type lastWord struct {
	csiVolumePlugin

	mu   sync.Mutex // guards host
	host volume.VolumeHost
}

// replaceCSI puts a lastWord in the place of the CSI plugin.
func replaceCSI(plugins []volume.VolumePlugin) (*lastWord, error) {
	for i, p := range plugins {
		if p.GetPluginName() != csi.CSIPluginName {
			continue
		}
		whole, ok := p.(csiVolumePlugin)
		if !ok {
			return nil, fmt.Errorf("the CSI plugin %T lacks a part that kubelets use", p)
		}
		word := &lastWord{csiVolumePlugin: whole}
		plugins[i] = word
		return word, nil
	}
	return nil, errors.New("the kubelet has no CSI plugin")
}

// Init remembers the kubelet's side for later.
func (w *lastWord) Init(host volume.VolumeHost) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.host = host
	return w.begin()
}

// begin initializes the plugin; who calls it holds mu.
func (w *lastWord) begin() error {
	kubelet, ok := w.host.(volume.KubeletVolumeHost)
	if !ok {
		return fmt.Errorf("the kubelet's volume host %T has no kubelet", w.host)
	}
	return w.csiVolumePlugin.Init(&calmHost{VolumeHost: w.host, KubeletVolumeHost: kubelet})
}

// again initializes the plugin anew when built closes; without such a channel it does nothing. One that was not
// initialized at all by then is still to come.
func (w *lastWord) again(ctx context.Context, built <-chan struct{}) error {
	select {
	case <-built:
	case <-ctx.Done():
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.host == nil {
		return nil
	}
	return w.begin()
}

// calmHost keeps a node Ready that is. The plugin begins by reporting that it is not initialized: a kubelet that was started
// again and tells its Node in the moment before it is would be NotReady for ten seconds, and its pods out of their Services. A
// plugin that fails reports that, and is passed on.
type calmHost struct {
	volume.VolumeHost
	volume.KubeletVolumeHost

	began sync.Once
}

// SetKubeletError swallows the first report and passes on what comes after it.
func (h *calmHost) SetKubeletError(err error) {
	first := false
	h.began.Do(func() { first = true })
	if !first {
		h.KubeletVolumeHost.SetKubeletError(err)
	}
}
