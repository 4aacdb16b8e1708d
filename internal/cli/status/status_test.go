package status

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/status"
	"github.com/skerry-io/skerry/tests/golden"
)

var start = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

func at(minutes int) page {
	return page{now: start.Add(time.Duration(minutes) * time.Minute), columns: 90}
}

func service(name string, phase run.Phase, needs ...string) status.Service {
	return status.Service{State: run.State{Name: name, Phase: phase, Since: start, WaitsFor: needs}}
}

func process(role string) *status.Process {
	return &status.Process{Role: role, Node: "pi", Version: "1.0", Kubernetes: "v1.36.4", PID: 42, Started: start}
}

// troubled is a server on which much is wrong.
func troubled() answer {
	network, scheduler := service("network", run.Paused), service("scheduler", run.Ready)
	network.Restarts, network.Error = 3, "find the interface:\nno such link; to cure: plug it in"
	scheduler.Restarts, scheduler.Error = 1, "lost its lease"
	services := []status.Service{scheduler, network, service("kubelet", run.Starting), service("node", run.Waiting, "kubelet", "network")}
	for _, name := range []string{"port", "datastore", "apiserver", "node-key", "controllers", "nodesettings", "containerd", "images", "guard", "tunnel"} {
		services = append(services, service(name, run.Ready))
	}
	applied := status.Component{Service: "manifests", Name: "a.yaml", State: "applied", OK: true, Since: start}
	another := applied
	another.Name = "b.yaml"
	return answer{Condition: status.Unwell, Process: process("server"), Services: services,
		Components: []status.Component{applied, another,
			{Service: "manifests", Name: "web/c.yaml", State: "waiting", OK: true, Since: start, Error: "the namespace web is not there yet"},
			{Service: "manifests", Name: "d.yaml", State: "failed", Since: start, Error: "line 3: no YAML"}},
		Nodes: []node{{Name: "far", Since: start, Reason: "container runtime network not ready"}, {Name: "pi", Own: true, Ready: true, Since: start},
			{Name: "near", Ready: true, Since: start}, {Name: "old", Ready: true, Closed: true, Since: start}}}
}

func upAgent() answer {
	return answer{Condition: status.Up, Well: true, Process: process("agent"), Services: []status.Service{service("kubelet", run.Ready), service("identity", run.Ready)},
		Components: []status.Component{}, Nodes: []node{{Name: "pi", Own: true, Ready: true, Since: start}}}
}

func ended(how, why string) answer {
	r := status.Run{Process: *process("server"), Error: why}
	if how == status.Clean || how == status.Broken {
		r.Ended = start.Add(time.Hour)
	}
	return answer{Condition: stopped, Services: []status.Service{}, Components: []status.Component{}, Nodes: []node{}, LastRun: &lastRun{Run: r, How: how}}
}

func TestText(t *testing.T) {
	starting := upAgent()
	starting.Condition, starting.NodesError = status.Starting, "the service endpoint is not ready"
	starting.Services[0] = service("kubelet", run.Waiting, "images")
	starting.LastRun = ended(status.Broken, "service network: gone").LastRun
	starting.LastRun.Ended = start.Add(-time.Minute)
	wide, coloured := at(90), at(90)
	wide.wide, coloured.colour = true, true
	for name, test := range map[string]struct {
		answer answer
		page   page
	}{
		"troubled.txt": {troubled(), at(90)},
		"wide.txt":     {troubled(), wide},
		"colours.txt":  {troubled(), coloured},
		"up.txt":       {upAgent(), at(300)},
		"starting.txt": {starting, at(0)},
		"silent.txt":   {answer{Condition: silent, PID: 42}, at(0)},
		"never.txt":    {answer{Condition: stopped}, at(0)},
		"clean.txt":    {ended(status.Clean, ""), at(0)},
		"broken.txt":   {ended(status.Broken, "service port: listen on :6443: address in use; to cure: stop the other program\nservice node did not stop"), at(0)},
		"killed.txt":   {ended(status.Killed, ""), at(0)},
		"cutoff.txt":   {ended(status.CutOff, ""), at(0)},
	} {
		golden.Check(t, name, test.answer.text(test.page))
	}
}

func TestJSON(t *testing.T) {
	for name, a := range map[string]answer{"troubled.json": troubled(), "broken.json": ended(status.Broken, "service port: taken")} {
		var out bytes.Buffer
		if err := cluster.JSON(&out, a); err != nil {
			t.Fatal(err)
		}
		golden.Check(t, name, out.String())
	}
}

func place(t *testing.T) (socket string, c config.Status) {
	t.Helper()
	dir := t.TempDir()
	return filepath.Join(dir, "status.sock"), config.Status{Place: config.Place{DataDir: dir}}
}

func TestWhatThereIsToAsk(t *testing.T) {
	t.Run("nothing ran ever", func(t *testing.T) {
		socket, c := place(t)
		if a, err := look(t.Context(), socket, c); err != nil || a.Condition != stopped || a.Well || a.LastRun != nil {
			t.Errorf("%+v, %v", a, err)
		}
	})
	t.Run("something ran", func(t *testing.T) {
		socket, c := place(t)
		end, err := status.NewBoard(*process("server")).Begin(c.Paths().LastRun())
		if err != nil {
			t.Fatal(err)
		}
		if err := end(errors.New("broken")); err != nil {
			t.Fatal(err)
		}
		if a, err := look(t.Context(), socket, c); err != nil || a.Condition != stopped || a.LastRun.How != status.Broken || a.LastRun.Error != "broken" {
			t.Errorf("%+v, %v", a, err)
		}
	})
	t.Run("it runs, and the API server does not", func(t *testing.T) {
		socket, c := place(t)
		b := status.NewBoard(*process("server"))
		b.Kubeconfig(filepath.Join(t.TempDir(), "none"))
		served, err := status.Open(socket, b)
		if err != nil {
			t.Fatal(err)
		}
		defer served.Close()
		if a, err := look(t.Context(), socket, c); err != nil || a.Condition != status.Starting || a.Well || a.NodesError == "" {
			t.Errorf("%+v, %v", a, err)
		}
	})
	t.Run("it hangs", func(t *testing.T) {
		socket, c := place(t)
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer stop()
		if a, err := look(ctx, socket, c); err != nil || a.Condition != silent || a.PID != os.Getpid() {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

func TestNodes(t *testing.T) {
	condition := func(name string, is core.ConditionStatus, why string) *core.Node {
		return &core.Node{ObjectMeta: meta.ObjectMeta{Name: name}, Status: core.NodeStatus{Conditions: []core.NodeCondition{
			{Type: core.NodeReady, Status: is, Message: why, LastTransitionTime: meta.NewTime(start), LastHeartbeatTime: meta.NewTime(start)}}}}
	}
	client := fake.NewClientset(condition("a", core.ConditionTrue, ""), condition("own", core.ConditionTrue, ""),
		condition("z", core.ConditionUnknown, "Kubelet stopped posting node status."), condition("y", core.ConditionFalse, "no network"),
		&core.Node{ObjectMeta: meta.ObjectMeta{Name: "x"}})
	all, err := list(t.Context(), client, "own", false)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []node{{Name: "x", Reason: "it has not said how it is"}, {Name: "y", Since: start, Reason: "no network"},
		{Name: "z", Since: start, Reason: "nothing is heard of it"}, {Name: "own", Own: true, Ready: true, Since: start},
		{Name: "a", Ready: true, Since: start}} {
		if i >= len(all) || all[i] != want {
			t.Errorf("%d: got %+v, want %+v", i, all, want)
		}
	}
}

func TestOnlyTheOwnNodeCounts(t *testing.T) {
	a := answer{Nodes: []node{{Name: "far"}, {Name: "pi", Own: true, Ready: true}}}
	if !a.ownReady() {
		t.Error("a node elsewhere makes this one unwell")
	}
	a.Nodes[1].Ready = false
	if a.ownReady() {
		t.Error("the own node does not count")
	}
}
