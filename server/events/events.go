package events

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	// longestName bounds what of an object's name is in an Event's, whose whole name may have 253 letters.
	longestName = 200
	// longestMessage is what the API takes, in bytes.
	longestMessage = 1024
)

// Teller is who tells.
type Teller struct {
	Client    kubernetes.Interface
	Component string
	Host      string // the server's name, empty when it does not matter
}

// Event is what is told.
type Event struct {
	About   core.ObjectReference // with its UID; what has no namespace is told in "default"
	Type    string               // core.EventTypeNormal or core.EventTypeWarning
	Reason  string               // one word
	Message string               // cut off where the API would refuse it
}

// Node is how an Event refers to a Node, as the kubelet's own do: by its name alone, which `kubectl describe node` looks for.
func Node(name string) core.ObjectReference {
	return core.ObjectReference{Kind: "Node", Name: name, UID: types.UID(name)}
}

// Tell leaves an Event, or counts one more of the same: its name is made of what it says.
func (t Teller) Tell(ctx context.Context, e Event) error {
	namespace, now := e.About.Namespace, meta.Now()
	if namespace == "" {
		namespace = meta.NamespaceDefault
	}
	message := strings.ToValidUTF8(e.Message[:min(len(e.Message), longestMessage)], "")
	name := e.name()
	_, err := t.Client.CoreV1().Events(namespace).Create(ctx, &core.Event{
		ObjectMeta:     meta.ObjectMeta{Name: name, Namespace: namespace},
		InvolvedObject: e.About,
		Type:           e.Type,
		Reason:         e.Reason,
		Message:        message,
		Source:         core.EventSource{Component: t.Component, Host: t.Host},
		FirstTimestamp: now,
		LastTimestamp:  now,
		Count:          1,
	}, meta.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		err = t.count(ctx, namespace, name, now)
	}
	if apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, core.NamespaceTerminatingCause) {
		return nil
	}
	return err
}

func (e Event) name() string {
	sum := fnv.New64a()
	fmt.Fprint(sum, e.About.UID, "\n", e.Reason, "\n", e.Message)
	return fmt.Sprintf("%s.%016x", strings.TrimRight(e.About.Name[:min(len(e.About.Name), longestName)], ".-"), sum.Sum64())
}

// count has an Event say that it happened once more.
func (t Teller) count(ctx context.Context, namespace, name string, now meta.Time) error {
	events := t.Client.CoreV1().Events(namespace)
	have, err := events.Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"count": have.Count + 1, "lastTimestamp": now})
	if err != nil {
		return err
	}
	_, err = events.Patch(ctx, name, types.MergePatchType, patch, meta.PatchOptions{})
	return err
}
