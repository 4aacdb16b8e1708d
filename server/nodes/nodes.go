package nodes

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	namespace = meta.NamespaceSystem
	// SecretType is the type of a record's Secret.
	SecretType = "skerry.io/node-key"

	recordPrefix   = "node-key."
	keyFingerprint = "fingerprint"
	keySince       = "since"

	// MaxName is the longest name of a node, in bytes: its record is named after it.
	MaxName = 253 - len(recordPrefix)
	// joining is how long a node that has its certificates may take to make its Node object.
	joining = time.Minute
	// attempts at a record that others change at the same time.
	attempts = 5
)

// Taken says that a name belongs to another key.
type Taken struct{ *fault.Fault }

// Unwrap gives the fault, with its cure.
func (t Taken) Unwrap() error { return t.Fault }

// RecordName is the name of a node's record in the namespace kube-system.
func RecordName(node string) string { return recordPrefix + node }

// Fingerprint is the SHA-256 of a public key in PKIX form, in hexadecimal.
func Fingerprint(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// Claim gives a name to a key that may join, or says that it is the key's already. The error is a Taken when the name
// belongs to another key: one whose Node exists, or that got the name within the last minute.
func Claim(ctx context.Context, client kubernetes.Interface, name, fingerprint string) error {
	var err error
	for range attempts {
		if err = claim(ctx, client, name, fingerprint); !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return fmt.Errorf("record the key of node %s: %w", name, err)
}

// claim is one attempt; the error of one that lost against another is the API's conflict.
func claim(ctx context.Context, client kubernetes.Interface, name, fingerprint string) error {
	secrets := client.CoreV1().Secrets(namespace)
	have, err := secrets.Get(ctx, RecordName(name), meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = secrets.Create(ctx, record(name, fingerprint), meta.CreateOptions{})
		return err
	}
	if err != nil {
		return fmt.Errorf("read the record of node %s: %w", name, err)
	}
	age := time.Since(since(have))
	ours, fresh := string(have.Data[keyFingerprint]) == fingerprint, age >= 0 && age < joining
	if ours && fresh {
		return nil
	}
	exists, err := Exists(ctx, client, name)
	switch {
	case err != nil:
		return err
	case ours && exists:
		return nil
	case exists:
		return takenBy("the Node", name)
	case fresh && !ours:
		return takenBy("a machine that is joining right now", name)
	}
	// Ours and long ago, with no Node yet: it is joining now. Another's and long ago: it has never come, or was deleted.
	next := record(name, fingerprint)
	next.ResourceVersion = have.ResourceVersion
	_, err = secrets.Update(ctx, next, meta.UpdateOptions{})
	return err
}

// Check says whether a name belongs to a key. known is false when nothing is recorded; the error is a Taken when the
// name belongs to another key.
func Check(ctx context.Context, client kubernetes.Interface, name, fingerprint string) (known bool, err error) {
	have, err := client.CoreV1().Secrets(namespace).Get(ctx, RecordName(name), meta.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the record of node %s: %w", name, err)
	case string(have.Data[keyFingerprint]) != fingerprint:
		return true, takenBy("another machine", name)
	}
	return true, nil
}

// Forget lets another key have a name; the Node object stays. It is not an error when nothing was recorded.
func Forget(ctx context.Context, client kubernetes.Interface, name string) error {
	err := client.CoreV1().Secrets(namespace).Delete(ctx, RecordName(name), meta.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func takenBy(whom, name string) error {
	return Taken{fault.New("the name %q belongs to %s, with another key", name, whom).
		Fix("give this machine a name of its own with node-name; if it replaces the other one, run `skerry node replace %s` on the server, or delete the Node there, "+
			"and start it again", name)}
}

func record(name, fingerprint string) *core.Secret {
	return &core.Secret{
		ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: RecordName(name)},
		Type:       SecretType,
		Data:       map[string][]byte{keyFingerprint: []byte(fingerprint), keySince: []byte(time.Now().UTC().Format(time.RFC3339))},
	}
}

// since is when a record was made; one that does not say so counts as old.
func since(record *core.Secret) time.Time {
	at, err := time.Parse(time.RFC3339, string(record.Data[keySince]))
	if err != nil {
		return time.Time{}
	}
	return at
}

// Exists says that there is a Node of this name.
func Exists(ctx context.Context, client kubernetes.Interface, name string) (bool, error) {
	_, err := client.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the Node %s: %w", name, err)
	}
	return true, nil
}
