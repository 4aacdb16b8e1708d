package cluster_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// told is what `skerry status -o json` tells, as far as the tests look.
type told struct {
	Condition string
	Well      bool
	PID       int
	Services  []struct {
		Name, Phase, Error string
		WaitsFor           []string
		Restarts           int
	}
	Components []component
	Nodes      []struct {
		Name       string
		Ready, Own bool
	}
	NodesError string
	LastRun    *struct{ How, Error string }
}

// component is something that a service looks after.
type component struct {
	Service, Name, State, Error string
	OK                          bool
	Since                       time.Time
}

// bad are the components that someone has to look at.
func (s told) bad() []component {
	return slices.DeleteFunc(slices.Clone(s.Components), func(c component) bool { return c.OK })
}

// row is one component, empty when it is not told of.
func (s told) row(service, name string) component {
	for _, c := range s.Components {
		if c.Service == service && c.Name == name {
			return c
		}
	}
	return component{}
}

// status asks, and holds the exit code against what is told.
func (n *node) status(t *testing.T) (s told) {
	t.Helper()
	out, err := n.try(t, "status", "-o", "json")
	if broken := json.Unmarshal([]byte(out), &s); broken != nil {
		t.Fatalf("%v, %v:\n%s", err, broken, out)
	}
	if (err == nil) != s.Well || s.Well != (s.Condition == "up" && s.NodesError == "") {
		t.Errorf("the exit is %v, and told is\n%s", err, out)
	}
	return s
}

// statusUntil asks until what is told is so.
func (n *node) statusUntil(t *testing.T, what string, is func(told) bool) told {
	t.Helper()
	var s told
	n.eventually(t, what, func() error {
		if s = n.status(t); !is(s) {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	return s
}

func up(s told) bool {
	return s.Condition == "up" && len(s.Nodes) == 1 && s.Nodes[0].Own && s.Nodes[0].Ready
}

// TestStatus: whatever a node does or does not do, `skerry status` tells, and why.
func TestStatus(t *testing.T) {
	n := newNode(t, nil)
	before := n.host.Snapshot()
	t.Run("nothing ever ran", func(t *testing.T) {
		if s := n.status(t); s.Condition != "stopped" || s.LastRun != nil {
			t.Errorf("%+v", s)
		}
	})
	n.serve()
	t.Run("it starts", func(t *testing.T) {
		n.statusUntil(t, "the process is there", func(s told) bool { return len(s.Services) > 10 })
		n.statusUntil(t, "all is well", up)
		if out := n.skerry(t, "status"); !strings.Contains(out, " is up, ") || !strings.Contains(out, "apiserver") {
			t.Error(out)
		}
	})
	t.Run("machines are told the same", func(t *testing.T) { toldToMachines(t, n) })
	t.Run("a fresh node has what it is made with", func(t *testing.T) {
		var images []struct{ Name, From string }
		if err := json.Unmarshal([]byte(n.skerry(t, "images", "-o", "json")), &images); err != nil || len(images) != 2 ||
			images[0].Name != "localhost/skerry/demo:1" || images[1].Name != "localhost/skerry/pause:1" || images[1].From != "built in" {
			t.Errorf("%v, %v", images, err)
		}
	})
	t.Run("a broken manifest", func(t *testing.T) {
		n.host.Write(manifestsDir+"/bad.yaml", []byte("a: [\n"))
		s := n.statusUntil(t, "it is told of", func(s told) bool { return s.Condition == "unwell" })
		if bad := s.bad(); len(bad) != 1 || bad[0].Name != "bad.yaml" || bad[0].Error == "" {
			t.Errorf("%+v", s.Components)
		}
		if _, err := n.host.Run(t.Context(), "rm", manifestsDir+"/bad.yaml"); err != nil {
			t.Fatal(err)
		}
		n.statusUntil(t, "all is well again", up)
	})
	t.Run("it hangs", func(t *testing.T) {
		if err := n.proc.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		if s := n.status(t); s.Condition != "silent" || s.PID == 0 {
			t.Errorf("%+v", s)
		}
		if err := n.proc.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		n.statusUntil(t, "it goes on", up)
	})
	t.Run("it is killed", func(t *testing.T) {
		n.proc.Kill()
		if s := n.status(t); s.Condition != "stopped" || s.LastRun == nil || s.LastRun.How != "killed" {
			t.Errorf("%+v", s)
		}
	})
	t.Run("its port is taken", func(t *testing.T) { portTaken(t, n) })
	t.Run("a reset leaves nothing of it", func(t *testing.T) {
		n.skerry(t, "reset", "--yes")
		for _, change := range n.host.Snapshot().Since(before) {
			if strings.Contains(change, "status.sock") || strings.Contains(change, "last-run") || strings.Contains(change, "/run/skerry") {
				t.Error(change)
			}
		}
	})
}

// toldToMachines: what status tells of a component is in the lines of readyz and among the metrics.
func toldToMachines(t *testing.T, n *node) {
	n.apiReady(t)
	n.statusUntil(t, "all components know how they are", func(s told) bool {
		return up(s) && s.row("dns", "cluster-names").State == "known" && s.row("dns-service", "kube-dns").State == "in place" &&
			s.row("metrics", "figures").State == "taken" && s.row("volumes", "orders").State == "heard"
	})
	for path, words := range map[string][]string{
		"/v1-skerry/readyz": {"[+]dns ready\n", "[+]dns/cluster-names known\n", "[+]dns-service/kube-dns in place\n", "[+]metrics/figures taken\n", "[+]volumes/orders heard\n"},
		"/v1-skerry/metrics": {"skerry_up 1\n", `skerry_component_ok{service="dns",name="cluster-names",state="known"} 1`,
			`skerry_component_ok{service="metrics",name="figures",state="taken"} 1`},
	} {
		text, err := n.api.Discovery().RESTClient().Get().AbsPath(path).Param("verbose", "").DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range words {
			if !strings.Contains(string(text), word) {
				t.Errorf("%s: no %q in\n%s", path, word, text)
			}
		}
	}
}

func portTaken(t *testing.T, n *node) {
	listener := n.host.Listen("0.0.0.0:6443")
	defer listener.Close()
	n.serve()
	if err := n.proc.Wait(patience); err == nil {
		t.Error("it says that all went well")
	}
	if s := n.status(t); s.Condition != "stopped" || s.LastRun == nil || s.LastRun.How != "broken" || !strings.Contains(s.LastRun.Error, "6443") {
		t.Errorf("%+v", s)
	}
	if out, _ := n.try(t, "status"); !strings.Contains(out, "to cure: ") {
		t.Errorf("without a cure:\n%s", out)
	}
}

// TestAServiceThatFails: what waits for it says so, and it says why, while the API answers.
func TestAServiceThatFails(t *testing.T) {
	n := newNode(t, nil)
	n.host.Write(configFile, []byte("flannel-iface: nosuch0\n"))
	n.serve()
	s := n.statusUntil(t, "the failure is told of", func(s told) bool {
		return s.Condition == "unwell" && s.NodesError == "" && len(s.Nodes) == 1 && len(s.bad()) > 0
	})
	for _, service := range s.Services {
		if service.Name == "node" && !slices.Contains(service.WaitsFor, "network") {
			t.Errorf("%+v", service)
		}
	}
	if bad := s.bad(); len(bad) != 1 || bad[0].Service != "network" || !strings.Contains(bad[0].Error, "nosuch0") {
		t.Errorf("%+v", s)
	}
	if s.Nodes[0].Ready || !s.Nodes[0].Own {
		t.Errorf("%+v", s.Nodes)
	}
	n.stop(t)
	if s := n.status(t); s.LastRun == nil || s.LastRun.How != "clean" {
		t.Errorf("%+v", s)
	}
}

// TestAddressesFromOutside: a Node shows its external address and keeps it, and pods are let onto it.
func TestAddressesFromOutside(t *testing.T) {
	n := newNode(t, nil)
	n.host.Write(configFile, []byte("node-external-ip: 192.0.2.10\nnode-label: topology.kubernetes.io/zone=attic\n"+
		"kubelet-arg: [node-status-update-frequency=1s]\n")) // by itself it looks every ten
	n.serve()
	n.ready(t)
	look := func() error {
		nodes, err := n.api.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		node := nodes.Items[0]
		var kinds []string
		for _, a := range node.Status.Addresses {
			kinds = append(kinds, string(a.Type)+"="+a.Address)
		}
		want := []string{"InternalIP=" + n.host.Address(), "ExternalIP=192.0.2.10", "Hostname=" + node.Name}
		kept := slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { // one for not being ready comes and goes with Kubernetes' looks at a young node
			return t.Key == "node.cloudprovider.kubernetes.io/uninitialized"
		})
		if !slices.Equal(kinds, want) || kept || node.Spec.ProviderID != "skerry://"+node.Name || node.Labels[corev1.LabelTopologyZone] != "attic" {
			return fmt.Errorf("%v, taints %v, provider ID %q, %v", kinds, node.Spec.Taints, node.Spec.ProviderID, node.Labels)
		}
		return nil
	}
	n.eventually(t, "the Node has all of it", look)
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(200 * time.Millisecond) { // in which the kubelet looks several times
		if err := look(); err != nil {
			t.Fatal(errors.Join(errors.New("the kubelet took it back"), err))
		}
	}
}
