package token

import (
	"context"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/fault"
)

// Where and under which names Kubernetes keeps short-lived tokens.
const (
	namespace       = meta.NamespaceSystem
	bootstrapPrefix = "bootstrap-token-"
	keyID           = "token-id"
	keySecret       = "token-secret"
	keyDescription  = "description"
	keyExpiration   = "expiration"
	keyUsage        = "usage-bootstrap-authentication"
)

// Bootstrap is a short-lived token as the cluster keeps it: a Secret of Kubernetes' own type.
type Bootstrap struct {
	ID          string
	Secret      string
	Description string
	Expires     time.Time // zero for one that does not
	Usable      bool      // a node can join with it, as long as it has not expired
}

// SecretName is the name of a token's Secret in the namespace kube-system.
func SecretName(id string) string { return bootstrapPrefix + id }

// Object is the Secret to create for a token that nodes can join with.
func (b Bootstrap) Object() *core.Secret {
	data := map[string][]byte{keyID: []byte(b.ID), keySecret: []byte(b.Secret), keyUsage: []byte("true")}
	if b.Description != "" {
		data[keyDescription] = []byte(b.Description)
	}
	if !b.Expires.IsZero() {
		data[keyExpiration] = []byte(b.Expires.UTC().Format(time.RFC3339))
	}
	return &core.Secret{
		ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: SecretName(b.ID)},
		Type:       core.SecretTypeBootstrapToken,
		Data:       data,
	}
}

// ReadBootstrap reads such a Secret.
func ReadBootstrap(object *core.Secret) (Bootstrap, error) {
	text := func(key string) string { return string(object.Data[key]) }
	b := Bootstrap{ID: text(keyID), Secret: text(keySecret), Description: text(keyDescription), Usable: text(keyUsage) == "true"}
	if object.Type != core.SecretTypeBootstrapToken || object.Name != SecretName(b.ID) {
		return b, fmt.Errorf("the Secret %s is not a bootstrap token", object.Name)
	}
	if at := text(keyExpiration); at != "" {
		var err error
		if b.Expires, err = time.Parse(time.RFC3339, at); err != nil {
			return b, fmt.Errorf("the Secret %s: expiration: %w", object.Name, err)
		}
	}
	return b, nil
}

// Expired says that the token's time is over.
func (b Bootstrap) Expired() bool { return !b.Expires.IsZero() && !time.Now().Before(b.Expires) }

// check looks a short-lived token up. Who does not know its secret learns nothing about it.
func check(ctx context.Context, client kubernetes.Interface, id, secret string) error {
	const cure = "make a new one on the server with `skerry token create`"
	object, err := client.CoreV1().Secrets(namespace).Get(ctx, SecretName(id), meta.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("look up the bootstrap token %s: %w", id, err)
	}
	var b Bootstrap
	if err == nil {
		b, err = ReadBootstrap(object)
	}
	switch {
	case err != nil, !same(b.Secret, secret):
		return fault.New("this cluster has no such bootstrap token %s: it expired, was deleted, or another cluster made it", id).Fix(cure)
	case b.Expired():
		return fault.New("the bootstrap token %s expired at %s", id, b.Expires.UTC().Format(time.RFC3339)).Fix(cure)
	case !b.Usable:
		return fault.New("the bootstrap token %s is not meant for joining: %s is not true", id, keyUsage).Fix(cure)
	}
	return nil
}
