package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/status"
	"github.com/skerry-io/skerry/internal/traffic"
)

// How long the process, and then the API server, may take to answer.
const (
	processPatience = 3 * time.Second
	clusterPatience = 3 * time.Second
)

// What `status` calls a node besides the conditions of its process.
const (
	silent  status.Condition = "silent"  // the process is there and does not answer
	stopped status.Condition = "stopped" // there is no process
)

// answer is what `status -o json` prints; its names are part of the interface.
type answer struct {
	Condition  status.Condition   `json:"condition"`
	Well       bool               `json:"well"`              // the exit code is 0
	Process    *status.Process    `json:"process,omitempty"` // absent when none runs, or it does not answer
	PID        int                `json:"pid,omitempty"`     // of a process that does not answer
	Services   []status.Service   `json:"services"`
	Components []status.Component `json:"components"`
	Traffic    []traffic.Link     `json:"traffic,omitempty"` // with other machines, since the process began
	Nodes      []node             `json:"nodes"`
	NodesError string             `json:"nodesError,omitempty"` // why nodes are not told of
	LastRun    *lastRun           `json:"lastRun,omitempty"`    // the run before this one when that ended badly; the last one when none runs
}

// lastRun is a run that is over.
type lastRun struct {
	status.Run
	How string `json:"how"` // clean, broken, killed, cut off, unknown
}

// Show prints how the node on this host is. Its error is the exit code alone when something is not well.
func Show(ctx context.Context, env command.Env, c config.Status) error {
	a, err := look(ctx, config.StatusSocket, c)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		err = cluster.JSON(env.Out, a)
	} else {
		_, err = io.WriteString(env.Out, a.text(pageFor(env, c.Output == "wide")))
	}
	if err == nil && !a.Well {
		return command.Quiet(command.ExitFailure)
	}
	return err
}

// pageFor is what env's output can show.
func pageFor(env command.Env, wide bool) page {
	p := page{now: time.Now(), columns: 100, wide: wide}
	if file, ok := env.Out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.colour = env.Getenv("NO_COLOR") == "" && env.Getenv("TERM") != "dumb"
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 {
			p.columns = columns
		}
	}
	return p
}

// look asks the process behind socket, and what it cannot know.
func look(ctx context.Context, socket string, c config.Status) (answer, error) {
	a := answer{Services: []status.Service{}, Components: []status.Component{}, Nodes: []node{}}
	report, err := ask(ctx, socket)
	var hangs *status.Silent
	kubeconfig := c.Kubeconfig
	switch {
	case errors.Is(err, status.ErrNotRunning):
		a.Condition = stopped
		a.remember(c.Paths().LastRun())
	case errors.As(err, &hangs):
		a.Condition, a.PID = silent, hangs.PID
	case err != nil:
		return a, err
	default:
		a.tell(report)
		if kubeconfig == "" {
			kubeconfig = report.Process.Kubeconfig
		}
	}
	if kubeconfig != "" {
		a.look(ctx, kubeconfig)
	}
	a.Well = a.Condition == status.Up && a.NodesError == "" && a.ownReady()
	return a, nil
}

func ask(ctx context.Context, socket string) (status.Report, error) {
	ctx, stop := context.WithTimeout(ctx, processPatience)
	defer stop()
	return status.Ask(ctx, socket)
}

// tell takes over what a process says of itself.
func (a *answer) tell(r status.Report) {
	a.Condition, a.Process, a.Services, a.Components, a.Traffic = r.Condition, &r.Process, r.Services, r.Components, r.Traffic
	if r.Before != nil {
		a.LastRun = &lastRun{Run: *r.Before, How: r.Before.How(status.Boot())}
	}
}

// remember looks up how the last run ended. That it cannot be known is no news to who asks what runs.
func (a *answer) remember(path string) {
	if r, err := status.LastRun(path); err == nil && r != nil {
		a.LastRun = &lastRun{Run: *r, How: r.How(status.Boot())}
	}
}

// look asks the API server for the nodes, unless it is known not to answer.
func (a *answer) look(ctx context.Context, kubeconfig string) {
	for _, s := range a.Services {
		if (s.Name == "apiserver" || s.Name == "endpoint") && s.Phase != run.Ready {
			a.NodesError = fmt.Sprintf("the service %s is not ready", s.Name)
			return
		}
	}
	ctx, stop := context.WithTimeout(ctx, clusterPatience)
	defer stop()
	own := ""
	if a.Process != nil {
		own = a.Process.Node
	}
	alone := a.Process != nil && a.Process.Role == "agent" && a.Process.Kubeconfig == kubeconfig
	nodes, err := nodesOf(ctx, kubeconfig, own, alone)
	if err != nil {
		a.NodesError = err.Error()
		return
	}
	a.Nodes = nodes
}

// ownReady says that the Node of this host is, where there is one. Others may be away: that is no trouble of this host.
func (a *answer) ownReady() bool {
	for _, n := range a.Nodes {
		if n.Own && !n.Ready {
			return false
		}
	}
	return true
}
