package events_test

import (
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/skerry-io/skerry/server/events"
)

func service() core.ObjectReference {
	return core.ObjectReference{Kind: "Service", APIVersion: "v1", Namespace: "shop", Name: "web", UID: "1-2-3"}
}

func TestTheSameIsCounted(t *testing.T) {
	client := fake.NewClientset()
	for _, host := range []string{"a", "a", "b"} { // b is another server
		teller := events.Teller{Client: client, Component: "skerry-test", Host: host}
		for _, message := range []string{"the port 80 is taken", "another matter"} {
			if err := teller.Tell(t.Context(), events.Event{About: service(), Type: core.EventTypeWarning, Reason: "PortTaken", Message: message}); err != nil {
				t.Fatal(err)
			}
		}
	}
	list, err := client.CoreV1().Events("shop").List(t.Context(), meta.ListOptions{})
	if err != nil || len(list.Items) != 2 {
		t.Fatalf("%d Events, %v", len(list.Items), err)
	}
	for _, e := range list.Items {
		if e.Count != 3 || e.InvolvedObject != service() || e.Reason != "PortTaken" || e.Source.Host != "a" {
			t.Errorf("%+v", e)
		}
	}
}

func TestWhatHasNoNamespaceIsToldInDefault(t *testing.T) {
	client := fake.NewClientset()
	long := events.Event{
		About:   core.ObjectReference{Kind: "Node", Name: strings.Repeat("n", 253), UID: "4"},
		Type:    core.EventTypeNormal,
		Reason:  "Long",
		Message: strings.Repeat("é", 2000),
	}
	if err := (events.Teller{Client: client, Component: "skerry-test"}).Tell(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	list, err := client.CoreV1().Events(meta.NamespaceDefault).List(t.Context(), meta.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d Events, %v", len(list.Items), err)
	}
	if e := list.Items[0]; len(e.Name) > 253 || len(e.Message) > 1024 || !strings.HasPrefix(long.Message, e.Message) {
		t.Errorf("the name has %d bytes, the message %d", len(e.Name), len(e.Message))
	}
}

func TestNobodyIsLeftToBeTold(t *testing.T) {
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "shop")
	ending := apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "web", nil)
	ending.ErrStatus.Details.Causes = []meta.StatusCause{{Type: core.NamespaceTerminatingCause}}
	for name, c := range map[string]struct {
		answer error
		bad    bool
	}{
		"the namespace is gone":   {gone, false},
		"the namespace is ending": {ending, false},
		"the API server is away":  {apierrors.NewServiceUnavailable("starting"), true},
	} {
		client := fake.NewClientset()
		client.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, c.answer })
		err := events.Teller{Client: client}.Tell(t.Context(), events.Event{About: service(), Reason: "Any"})
		if (err != nil) != c.bad {
			t.Errorf("%s: %v", name, err)
		}
	}
}
