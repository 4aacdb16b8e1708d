package status

import (
	"slices"
	"time"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/traffic"
)

// Report is how a process is at one moment. Its JSON names are part of the interface.
type Report struct {
	// Condition sums the rest up.
	Condition  Condition   `json:"condition"`
	Process    Process     `json:"process"`
	Services   []Service   `json:"services"`         // in the order in which they start
	Components []Component `json:"components"`       // what services look after
	Before     *Run        `json:"before,omitempty"` // the run before, when it did not end as it should
	// Traffic is what went over the connections to other machines since the process began.
	Traffic []traffic.Link `json:"traffic,omitempty"`
	// Datastore is asked for only by Whole; nil where there is none.
	Datastore *Datastore `json:"datastore,omitempty"`
}

// Condition is a whole process in one word.
type Condition string

// The conditions of a process.
const (
	Starting Condition = "starting" // some service is not ready yet, and nothing is wrong
	Up       Condition = "up"       // everything is as it should be
	Unwell   Condition = "unwell"   // something failed, or is about to be tried again
	Stopping Condition = "stopping"
)

// Process is what a process knows of itself from the start.
type Process struct {
	Role       string    `json:"role"` // "server" or "agent"
	Node       string    `json:"node"`
	Version    string    `json:"version"`
	Kubernetes string    `json:"kubernetes"`
	PID        int       `json:"pid"`
	Started    time.Time `json:"started"`
	// Kubeconfig may read the process's own Node at least; empty when there is none.
	Kubeconfig string `json:"kubeconfig,omitempty"`
}

// Service is a run.State for readers.
type Service struct {
	run.State
	Error string `json:"error,omitempty"` // its last end, kept through restarts
}

// Component is something that a service looks after.
type Component struct {
	Service string    `json:"service"`
	Name    string    `json:"name"`
	State   string    `json:"state"`
	OK      bool      `json:"ok"`
	Since   time.Time `json:"since,omitzero"`
	Error   string    `json:"error,omitempty"`
}

// conditionOf sums services and components up.
func conditionOf(services []Service, components []Component) Condition {
	has := func(phases ...run.Phase) bool {
		return slices.ContainsFunc(services, func(s Service) bool { return slices.Contains(phases, s.Phase) })
	}
	switch {
	case has(run.Failed):
		return Unwell
	case has(run.Stopping, run.Stopped):
		return Stopping
	case has(run.Paused), slices.ContainsFunc(components, func(c Component) bool { return !c.OK }):
		return Unwell
	case has(run.Waiting, run.Starting), len(services) == 0:
		return Starting
	}
	return Up
}

// Ready counts the services that are.
func (r Report) Ready() int {
	count := 0
	for _, s := range r.Services {
		if s.Phase == run.Ready {
			count++
		}
	}
	return count
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
