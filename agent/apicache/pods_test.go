package apicache

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestTheLastTokenOfAPodIsGivenAgain(t *testing.T) {
	for _, media := range encodings() {
		n := newNode(t)
		ask := func(uid, audience string) (*authentication.TokenRequest, error) {
			hour := int64(3600)
			return n.as(selfUser, media).CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "default", &authentication.TokenRequest{
				Spec: authentication.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &hour,
					BoundObjectRef: &authentication.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "a", UID: types.UID(uid)}},
			}, metav1.CreateOptions{})
		}
		n.server.token = jwt(time.Now().Add(2 * time.Hour))
		if _, err := ask("uid-a", "here"); err != nil {
			t.Fatal(err)
		}
		n.server.token = jwt(time.Now().Add(-time.Hour))
		if _, err := ask("uid-b", "here"); err != nil {
			t.Fatal(err)
		}
		n.reboot()
		n.cut()
		given, err := ask("uid-a", "here")
		if err != nil || !strings.HasPrefix(given.Status.Token, "head.") || time.Until(given.Status.ExpirationTimestamp.Time) > time.Hour {
			t.Errorf("%v, %v", given, err)
		}
		for what, of := range map[string][2]string{"one that is over": {"uid-b", "here"}, "for another": {"uid-a", "there"}, "of another pod": {"uid-c", "here"}} {
			if _, err := ask(of[0], of[1]); !apierrors.IsServiceUnavailable(err) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

func jwt(until time.Time) string {
	return "head." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, until.Unix())) + ".sum"
}

// sliced is a node with a pod and an EndpointSlice of it and of another node's; list gives the slice's endpoints.
func sliced(t *testing.T) (n *node, list func() []discovery.Endpoint) {
	n = newNode(t)
	yes, here, there := true, self, "near"
	slice := &discovery.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1"}, AddressType: discovery.AddressTypeIPv4,
		Endpoints: []discovery.Endpoint{
			{Addresses: []string{"10.0.0.1"}, NodeName: &here, Conditions: discovery.EndpointConditions{Ready: &yes}, TargetRef: &core.ObjectReference{Kind: "Pod", Name: "a", UID: "uid-a"}},
			{Addresses: []string{"10.0.1.1"}, NodeName: &there, Conditions: discovery.EndpointConditions{Ready: &yes}, TargetRef: &core.ObjectReference{Kind: "Pod", Name: "z", UID: "uid-z"}},
		}}
	n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"))
	n.server.set("/apis/discovery.k8s.io/v1/endpointslices", &discovery.EndpointSliceList{}, slice)
	list = func() []discovery.Endpoint {
		t.Helper()
		all, err := n.as(selfUser, mediaBin).DiscoveryV1().EndpointSlices("").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(all.Items) != 1 {
			t.Fatal(all, err)
		}
		return all.Items[0].Endpoints
	}
	names(t, n.as(selfUser, mediaBin))
	list()
	return n, list
}

func TestServicesFollowThePodsOfThisNode(t *testing.T) {
	n, list := sliced(t)
	n.reboot(func(c *Config) { c.Rebooted = true })
	n.cut()
	if got := list(); *got[0].Conditions.Ready || !*got[1].Conditions.Ready {
		t.Errorf("after the boot: %v", got)
	}
	set(t, n.as(selfUser, mediaBin), `{"status":{"podIP":"10.0.0.5","podIPs":[{"ip":"10.0.0.5"}]}}`)
	if got := list(); !*got[0].Conditions.Ready || got[0].Addresses[0] != "10.0.0.5" || got[1].Addresses[0] != "10.0.1.1" {
		t.Errorf("when the pod runs again: %v", got)
	}
	n.reboot()
	n.cut()
	if got := list(); !*got[0].Conditions.Ready || got[0].Addresses[0] != "10.0.0.5" {
		t.Errorf("after a start without a reboot: %v", got)
	}
}

func TestServicesGoOnWhenAServerIsLostThatWasThereAfterTheBoot(t *testing.T) {
	n, list := sliced(t)
	n.reboot(func(c *Config) { c.Rebooted = true })
	list()
	n.cut()
	if got := list(); !*got[0].Conditions.Ready {
		t.Errorf("its pod, of which a server has told, is no endpoint any more: %v", got)
	}
}
