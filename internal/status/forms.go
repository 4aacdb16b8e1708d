package status

import (
	"fmt"
	"strings"

	"github.com/skerry-io/skerry/internal/run"
)

// maxLine bounds what systemd shows in one line, in bytes.
const maxLine = 300

// Line is the report in one line.
func (r Report) Line() string {
	var text string
	switch r.Condition {
	case Up:
		text = fmt.Sprintf("up: all %d services are ready", len(r.Services))
	case Stopping:
		text = "stopping: waiting for " + orNothing(r.in(run.Stopping))
	case Unwell:
		text = "unwell: " + strings.Join(r.troubles(), "; ")
	default:
		waiting := r.in(run.Starting)
		if len(waiting) == 0 {
			waiting = r.in(run.Waiting)
		}
		text = fmt.Sprintf("starting: %d of %d services are ready, waiting for %s", r.Ready(), len(r.Services), orNothing(waiting))
	}
	text = oneLine(text)
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine-3], "") + "..."
	}
	return text
}

// in names the services in a phase.
func (r Report) in(phase run.Phase) []string {
	var names []string
	for _, s := range r.Services {
		if s.Phase == phase {
			names = append(names, s.Name)
		}
	}
	return names
}

// troubles says what is wrong, one sentence each.
func (r Report) troubles() []string {
	var all []string
	for _, s := range r.Services {
		if s.Phase == run.Failed || s.Phase == run.Paused {
			all = append(all, s.Name+": "+s.Error)
		}
	}
	for _, c := range r.Components {
		if !c.OK {
			all = append(all, fmt.Sprintf("%s: %s %s: %s", c.Service, c.Name, c.State, c.Error))
		}
	}
	return all
}

// Verbose is the report as the API server's own /readyz?verbose shows its checks: a line each, "[+]" for what is well.
func (r Report) Verbose() string {
	var b strings.Builder
	line := func(ok bool, text string) {
		sign := "+"
		if !ok {
			sign = "-"
		}
		fmt.Fprintf(&b, "[%s]%s\n", sign, oneLine(text))
	}
	for _, s := range r.Services {
		text := s.Name + " " + string(s.Phase)
		if len(s.WaitsFor) > 0 {
			text += " for " + strings.Join(s.WaitsFor, ", ")
		}
		if s.Error != "" && s.Phase != run.Ready {
			text += ": " + s.Error
		}
		line(s.Phase == run.Ready, text)
	}
	for _, c := range r.Components {
		text := c.Service + "/" + c.Name + " " + c.State
		if c.Error != "" {
			text += ": " + c.Error
		}
		line(c.OK, text)
	}
	fmt.Fprintf(&b, "%s\n", r.Line())
	return b.String()
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// oneLine is a text whose line breaks and runs of spaces are one space each.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
