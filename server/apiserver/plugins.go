package apiserver

import (
	"io"
	"slices"

	"k8s.io/apiserver/pkg/admission"
	mutatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/server/options"
)

// Plugin is an admission plugin of another room.
type Plugin struct {
	Name string
	admission.Interface
}

// admit adds plugins to those of Kubernetes, before the ones that ask others: what is decided in this process costs nothing.
func admit(o *options.AdmissionOptions, plugins []Plugin) {
	at := slices.Index(o.RecommendedPluginOrder, mutatingpolicy.PluginName)
	if at < 0 {
		at = len(o.RecommendedPluginOrder)
	}
	order := slices.Clone(o.RecommendedPluginOrder) // it is Kubernetes' own list
	for i, p := range plugins {
		o.Plugins.Register(p.Name, func(io.Reader) (admission.Interface, error) { return p.Interface, nil })
		order = slices.Insert(order, at+i, p.Name)
	}
	o.RecommendedPluginOrder = order
}
