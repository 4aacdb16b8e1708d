package status_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/status"
	"github.com/skerry-io/skerry/internal/traffic"
	"github.com/skerry-io/skerry/tests/golden"
)

var start = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

// fixed is a group that does not move.
type fixed struct {
	states  []run.State
	details map[string][]run.Detail
}

func (f fixed) States() []run.State                   { return f.states }
func (f fixed) Details() map[string][]run.Detail      { return f.details }
func (f fixed) Watch() ([]run.State, <-chan struct{}) { return f.states, nil }
func state(name string, p run.Phase) run.State        { return run.State{Name: name, Phase: p, Since: start} }
func failed(name string, p run.Phase, why error) run.State {
	s := state(name, p)
	s.Err = why
	return s
}

func board(g status.Group) *status.Board {
	b := status.NewBoard(status.Process{Role: "server", Node: "pi", Version: "1.0", Kubernetes: "v1.36.4", PID: 42, Started: start})
	if g != nil {
		b.Follow(g)
	}
	return b
}

// mixed has something of everything.
func mixed() fixed {
	waiting := state("kubelet", run.Waiting)
	waiting.WaitsFor = []string{"images", "guard"}
	again := failed("network", run.Paused, fault.New("find the interface").Because(errors.New("no such\nlink")).Fix("plug it in"))
	again.Restarts = 3
	return fixed{[]run.State{state("datastore", run.Ready), state("images", run.Starting), waiting, again, state("manifests", run.Ready)},
		map[string][]run.Detail{"manifests": {
			{Name: "web/app.yaml", State: "applied", Since: start},
			{Name: `bad "one".yaml`, State: "failed", Bad: true, Since: start, Err: errors.New("line 3: no YAML")},
		}}}
}

func TestAllFormsSayTheSame(t *testing.T) {
	b := board(mixed())
	b.Kubeconfig("/etc/skerry/skerry.yaml")
	r := b.Report()
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "report.json", string(text)+"\n")
	golden.Check(t, "verbose.txt", r.Verbose())
	golden.Check(t, "metrics.txt", r.Metrics())
}

func TestConditionAndLine(t *testing.T) {
	why := errors.New("service a: broken")
	for name, test := range map[string]struct {
		group fixed
		want  status.Condition
		line  string
	}{
		"all is ready":               {fixed{states: []run.State{state("a", run.Ready)}}, status.Up, "up: all 1 services are ready"},
		"one starts":                 {fixed{states: []run.State{state("a", run.Starting), state("b", run.Waiting)}}, status.Starting, "starting: 0 of 2 services are ready, waiting for a"},
		"one waits for a ready one":  {fixed{states: []run.State{state("a", run.Ready), state("b", run.Waiting)}}, status.Starting, "starting: 1 of 2 services are ready, waiting for b"},
		"one is tried again":         {fixed{states: []run.State{failed("a", run.Paused, why), state("b", run.Starting)}}, status.Unwell, "unwell: a: broken"},
		"one failed, the rest stops": {fixed{states: []run.State{failed("a", run.Failed, why), state("b", run.Stopping)}}, status.Unwell, "unwell: a: broken"},
		"a stop":                     {fixed{states: []run.State{state("a", run.Stopping), state("b", run.Stopped)}}, status.Stopping, "stopping: waiting for a"},
		"a stop that is over":        {fixed{states: []run.State{state("a", run.Stopped)}}, status.Stopping, "stopping: waiting for nothing"},
		"an old end is no trouble":   {fixed{states: []run.State{failed("a", run.Ready, why)}}, status.Up, "up: all 1 services are ready"},
		"a bad component": {fixed{[]run.State{state("m", run.Ready)}, map[string][]run.Detail{"m": {{Name: "x", State: "failed", Bad: true, Err: errors.New("why")}}}},
			status.Unwell, "unwell: m: x failed: why"},
		"an error of many words": {fixed{states: []run.State{failed("a", run.Failed, errors.New(strings.Repeat("ä ", 400)))}}, status.Unwell,
			"unwell: a: " + strings.Repeat("ä ", 95) + "..."},
	} {
		r := board(test.group).Report()
		if r.Condition != test.want || r.Line() != test.line {
			t.Errorf("%s: %s, %q", name, r.Condition, r.Line())
		}
	}
	if r := board(nil).Report(); r.Condition != status.Starting {
		t.Errorf("without services: %s", r.Condition)
	}
}

func TestTrafficIsPartOfTheReport(t *testing.T) {
	b := board(mixed())
	b.Count(func() []traffic.Link { return []traffic.Link{{Peer: "far", Way: traffic.Tunnel, Sent: 5, Received: 7}} })
	r := b.Report()
	if len(r.Traffic) != 1 {
		t.Fatalf("%+v", r.Traffic)
	}
	for _, want := range []string{`skerry_uplink_sent_bytes_total{peer="far",way="tunnel"} 5`, `skerry_uplink_received_bytes_total{peer="far",way="tunnel"} 7`} {
		if !strings.Contains(r.Metrics(), want+"\n") {
			t.Errorf("%s is missing in\n%s", want, r.Metrics())
		}
	}
}

func TestAnnounceTellsEachChangeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(after time.Duration) func(context.Context, func()) error {
			return func(ctx context.Context, ready func()) error {
				select {
				case <-time.After(after):
					ready()
				case <-ctx.Done():
				}
				<-ctx.Done()
				return nil
			}
		}
		g, err := run.NewGroup(quiet(), run.Service{Name: "a", Run: slow(time.Second)}, run.Service{Name: "b", Needs: []string{"a"}, Run: slow(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		b := board(g)
		ctx, stop := context.WithCancel(t.Context())
		var lines []string
		told, ended := make(chan struct{}), make(chan error, 1)
		go func() { defer close(told); b.Announce(ctx, g, func(line string) { lines = append(lines, line) }) }()
		go func() { ended <- g.Run(ctx) }()
		time.Sleep(2 * time.Hour)
		stop()
		<-told
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := []string{"starting: 0 of 2 services are ready, waiting for a", "starting: 1 of 2 services are ready, waiting for b", "up: all 2 services are ready"}
		if got := lines[max(0, len(lines)-3):]; !slices.Equal(got, want) || len(slices.Compact(slices.Clone(lines))) != len(lines) {
			t.Errorf("got\n%s", strings.Join(lines, "\n"))
		}
	})
}
