package apicache

import (
	"testing"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func rebooted(c *Config) { c.Rebooted = true }

// shutDownPatch is what the kubelet says of a pod that it ended with the machine.
const shutDownPatch = `{"metadata":{"uid":"uid-a"},"status":{"phase":"Failed","reason":"Terminated","message":"Pod was terminated in response to imminent node shutdown.",
	"containerStatuses":[{"name":"main","state":{"terminated":{"exitCode":143}}}]}}`

func ended(phase core.PodPhase, reason string, change ...func(*core.Pod)) *core.Pod {
	p := pod("a", "10.0.0.1")
	p.Status = core.PodStatus{Phase: phase, Reason: reason, QOSClass: core.PodQOSBurstable}
	for _, f := range change {
		f(p)
	}
	return p
}

func of(kind string) func(*core.Pod) {
	yes := true
	return func(p *core.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: "owner", Controller: &yes}}
	}
}

func restarts(policy core.RestartPolicy) *core.Pod {
	p := pod("a", "10.0.0.1")
	p.Spec.RestartPolicy = policy
	return p
}

func leaving(p *core.Pod) { p.DeletionTimestamp = &metav1.Time{Time: metav1.Now().Time} }

// phase is what the kubelet is told of the pod a by a node alone.
func (n *node) phase() core.PodPhase {
	n.t.Helper()
	list, err := n.as(selfUser, mediaBin).CoreV1().Pods("").List(n.t.Context(), mine())
	if err != nil || len(list.Items) != 1 {
		n.t.Fatal(list, err)
	}
	return list.Items[0].Status.Phase
}

// TestPodsThatAShutdownEndedRunAgain: the kubelet says of them that they failed for good, and would never run one again that it is told so of.
func TestPodsThatAShutdownEndedRunAgain(t *testing.T) {
	for name, test := range map[string]struct {
		told  *core.Pod // by a server
		patch string    // said by the kubelet, alone
		want  core.PodPhase
	}{
		"no server heard of it":                   {pod("a", "10.0.0.1"), shutDownPatch, core.PodPending},
		"a server did, and has replaced it":       {ended(core.PodFailed, "Terminated", of("StatefulSet")), "", core.PodFailed},
		"a server did, it belongs to this node":   {ended(core.PodFailed, "Terminated", of("DaemonSet")), "", core.PodPending},
		"it came while the machine went down":     {ended(core.PodFailed, "NodeShutdown", of("DaemonSet")), "", core.PodPending},
		"it was deleted":                          {ended(core.PodFailed, "Terminated", of("DaemonSet"), leaving), "", core.PodFailed},
		"it failed by itself":                     {pod("a", "10.0.0.1"), `{"status":{"phase":"Failed"}}`, core.PodFailed},
		"it was evicted":                          {pod("a", "10.0.0.1"), `{"status":{"phase":"Failed","reason":"Evicted"}}`, core.PodFailed},
		"it had done its work":                    {pod("a", "10.0.0.1"), `{"status":{"phase":"Succeeded","reason":"Terminated"}}`, core.PodSucceeded},
		"its containers always run":               {restarts(core.RestartPolicyAlways), shutDownPatch, core.PodPending},
		"it had work to do, once":                 {restarts(core.RestartPolicyNever), shutDownPatch, core.PodFailed},
		"it had work to do, until it is done":     {restarts(core.RestartPolicyOnFailure), shutDownPatch, core.PodFailed},
		"it runs":                                 {pod("a", "10.0.0.1"), "", core.PodRunning},
		"a server did, and nobody looks after it": {ended(core.PodFailed, "Terminated"), "", core.PodFailed},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.server.set(allPods, &core.PodList{}, test.told)
			names(t, n.as(selfUser, mediaBin))
			n.cut()
			if test.patch != "" {
				set(t, n.as(selfUser, mediaBin), test.patch)
			}
			n.reboot() // of the program alone
			n.cut()
			if before := n.phase(); test.patch == shutDownPatch && before != core.PodFailed {
				t.Errorf("it is %s before the reboot", before)
			}
			n.reboot(rebooted)
			n.cut()
			if got := n.phase(); got != test.want {
				t.Errorf("it is %s, want %s", got, test.want)
			}
		})
	}
}

// TestAPodThatRunsAgainIsTakenForNew: nothing of how it ended is left, and what it is given stays.
func TestAPodThatRunsAgainIsTakenForNew(t *testing.T) {
	n := newNode(t)
	n.server.set(allPods, &core.PodList{}, ended(core.PodRunning, ""))
	names(t, n.as(selfUser, mediaBin))
	n.cut()
	set(t, n.as(selfUser, mediaBin), shutDownPatch)
	n.reboot(rebooted)
	n.cut()
	list, err := n.as(selfUser, mediaBin).CoreV1().Pods("").List(t.Context(), mine())
	if err != nil {
		t.Fatal(err)
	}
	p := list.Items[0]
	if s := p.Status; s.Reason != "" || s.Message != "" || len(s.ContainerStatuses) > 0 || s.QOSClass != core.PodQOSBurstable || p.Spec.NodeName != self || p.UID != "uid-a" {
		t.Errorf("it is told as %+v", p)
	}
}

// TestEndpointsThatCountBeforeTheyAreReady: pods of a Service that publishes them so find each other at their new addresses; those of others
// are not led to.
func TestEndpointsThatCountBeforeTheyAreReady(t *testing.T) {
	for _, published := range []bool{true, false} {
		n := newNode(t)
		yes, here := true, self
		n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"))
		n.server.set("/api/v1/services", &core.ServiceList{}, &core.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db"},
			Spec: core.ServiceSpec{ClusterIP: core.ClusterIPNone, PublishNotReadyAddresses: published}})
		n.server.set(slicesPath, &discovery.EndpointSliceList{}, &discovery.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "db-1", Labels: map[string]string{discovery.LabelServiceName: "db"}},
			AddressType: discovery.AddressTypeIPv4,
			Endpoints: []discovery.Endpoint{{Addresses: []string{"10.0.0.1"}, NodeName: &here, Conditions: discovery.EndpointConditions{Ready: &yes},
				TargetRef: &core.ObjectReference{Kind: "Pod", Namespace: "default", Name: "a", UID: "uid-a"}}}})
		client := n.as(selfUser, mediaBin)
		names(t, client)
		if _, err := client.CoreV1().Services("").List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.DiscoveryV1().EndpointSlices("").List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		n.reboot(rebooted)
		n.cut()
		endpoint := func() discovery.Endpoint {
			t.Helper()
			list, err := n.as(selfUser, mediaBin).DiscoveryV1().EndpointSlices("").List(t.Context(), metav1.ListOptions{})
			if err != nil || len(list.Items) != 1 {
				t.Fatal(list, err)
			}
			return list.Items[0].Endpoints[0]
		}
		if e := endpoint(); *e.Conditions.Ready {
			t.Errorf("published %t: the address from before the reboot is ready", published)
		}
		set(t, n.as(selfUser, mediaBin), `{"status":{"podIP":"10.0.0.7","podIPs":[{"$patch":"replace"},{"ip":"10.0.0.7"}],"conditions":[{"type":"Ready","status":"False"}]}}`)
		if e := endpoint(); *e.Conditions.Ready != published || *e.Conditions.Serving || e.Addresses[0] != "10.0.0.7" {
			t.Errorf("published %t: a pod that is not ready is told as %v, ready %t, serving %t", published, e.Addresses, *e.Conditions.Ready, *e.Conditions.Serving)
		}
	}
}
