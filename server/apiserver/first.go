package apiserver

import (
	"context"
	"crypto/x509"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/certs"
)

// firstObjects makes what the first pod in the namespace default needs. The controllers would make the same objects,
// seconds later; until then the API refuses every pod.
func firstObjects(ctx context.Context, client kubernetes.Interface, serverCA *x509.Certificate) error {
	named := func(name string) meta.ObjectMeta { return meta.ObjectMeta{Name: name} }
	ca := &core.ConfigMap{ObjectMeta: named("kube-root-ca.crt"), Data: map[string]string{"ca.crt": string(certs.EncodeCert(serverCA))}}
	var once meta.CreateOptions
	for _, create := range []func() error{
		func() error {
			_, err := client.CoreV1().Namespaces().Create(ctx, &core.Namespace{ObjectMeta: named("default")}, once)
			return err
		},
		func() error {
			_, err := client.CoreV1().ServiceAccounts("default").Create(ctx, &core.ServiceAccount{ObjectMeta: named("default")}, once)
			return err
		},
		func() error {
			_, err := client.CoreV1().ConfigMaps("default").Create(ctx, ca, once)
			return err
		},
	} {
		if err := insist(ctx, create); err != nil {
			return err
		}
	}
	return nil
}

// insist repeats create until the object is there: while the API server starts, some of its parts refuse for a moment.
func insist(ctx context.Context, create func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := create()
		if err == nil || apierrors.IsAlreadyExists(err) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}
