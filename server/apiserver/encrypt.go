package apiserver

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// encrypt has Secrets stored by the configuration's transformer. What upstream would make of --encryption-provider-config ends in
// the same field, but looks for other keys once a minute only.
func (s *Server) encrypt(config *app.Config, o options.CompletedOptions) {
	if s.config.Secrets == nil || o.Etcd.EncryptionProviderConfigFilepath != "" {
		return
	}
	settings := config.KubeAPIs.ControlPlane.Generic
	settings.RESTOptionsGetter = encrypting{settings.RESTOptionsGetter, s.config.Secrets}
}

// encrypting is where and how things are stored, with a transformer for Secrets.
type encrypting struct {
	generic.RESTOptionsGetter
	secrets func(storage storagebackend.Config, prefix string) value.Transformer
}

// GetRESTOptions says it for one resource.
func (e encrypting) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	o, err := e.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil || resource != (schema.GroupResource{Resource: "secrets"}) {
		return o, err
	}
	storage := *o.StorageConfig
	storage.Transformer = e.secrets(storage.Config, o.ResourcePrefix)
	o.StorageConfig = &storage
	return o, nil
}
