package dns

import (
	"context"
	"fmt"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/skerry-io/skerry/internal/wire"
)

const customName = wire.DNSConfigMap

// followConfigMap hands the users' ConfigMap on at each change, until ctx ends.
func followConfigMap(ctx context.Context, client kubernetes.Interface, take func(*core.ConfigMap), wake func()) {
	only := func(o *meta.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", customName).String()
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(meta.NamespaceSystem), informers.WithTweakListOptions(only))
	look := func(object any) {
		if m, ok := object.(*core.ConfigMap); ok && m.Name == customName { // a test's API server may know no selectors
			take(m)
			wake()
		}
	}
	_, _ = factory.Core().V1().ConfigMaps().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{ // fails once stopped only
		AddFunc: look, UpdateFunc: func(_, now any) { look(now) }, DeleteFunc: func(any) { take(nil); wake() },
	})
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
}

// tell leaves an Event that `kubectl describe configmap` shows.
func (s *settings) tell(ctx context.Context, about *core.ConfigMap, why error) {
	now := meta.Now()
	_, err := s.client.CoreV1().Events(about.Namespace).Create(ctx, &core.Event{
		ObjectMeta: meta.ObjectMeta{GenerateName: about.Name + ".", Namespace: about.Namespace},
		InvolvedObject: core.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: about.Namespace, Name: about.Name,
			UID: about.UID, ResourceVersion: about.ResourceVersion},
		Type:           core.EventTypeWarning,
		Reason:         "SettingsRefused",
		Message:        fmt.Sprintf("node %s goes on with the settings before: %v", s.config.Node, why),
		Source:         core.EventSource{Component: "skerry", Host: s.config.Node},
		FirstTimestamp: now,
		LastTimestamp:  now,
		Count:          1,
	}, meta.CreateOptions{})
	if err != nil && ctx.Err() == nil {
		s.config.Log.Warn("the event about it could not be made", "err", err)
	}
}
