package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/status"
)

// page is where a text is shown.
type page struct {
	now     time.Time
	columns int
	colour  bool
	wide    bool // a row for everything, also what is well
}

// text is the answer for people: what is worst first, what is well in as few lines as will do.
func (a *answer) text(p page) string {
	var b strings.Builder
	b.WriteString(a.head(p))
	if a.tellsLastRun(p.now) {
		b.WriteString(a.LastRun.text())
	}
	for _, part := range []string{a.servicesText(p), a.componentsText(p), a.nodesText(p), a.trafficText(p)} {
		if part != "" {
			b.WriteString("\n" + part)
		}
	}
	return b.String()
}

func (a *answer) head(p page) string {
	switch a.Condition {
	case stopped:
		return p.paint(red, "no node runs on this host") + "\n"
	case silent:
		return p.paint(red, fmt.Sprintf("process %d runs on this host and does not answer", a.PID)) + "\n" +
			fmt.Sprintf("  to cure: `kill -QUIT %d` ends it and has it say in its log where it hangs; then start it again\n", a.PID)
	}
	up := fmt.Sprintf("%s %s is %s, %d of %d services are ready", a.Process.Role, a.Process.Node, a.Condition, a.ready(), len(a.Services))
	return p.paint(colourOf(a.Condition), up) + "\n" +
		fmt.Sprintf("process %d, for %s, skerry %s, kubernetes %s\n", a.Process.PID, p.age(a.Process.Started), a.Process.Version, a.Process.Kubernetes)
}

func (a *answer) ready() int { return status.Report{Services: a.Services}.Ready() }

// recently is how long after a start it is worth a line that the run before ended badly.
const recently = 10 * time.Minute

// tellsLastRun says that the last run is news.
func (a *answer) tellsLastRun(now time.Time) bool {
	return a.LastRun != nil && (a.Process == nil || now.Sub(a.Process.Started) < recently)
}

// text tells of a run that is over.
func (r *lastRun) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "last run: %s %s, process %d, from %s", r.Role, r.Node, r.PID, r.Started.Format(time.DateTime))
	if !r.Ended.IsZero() {
		fmt.Fprintf(&b, " to %s", r.Ended.Format(time.DateTime))
	}
	b.WriteString("\n")
	switch r.How {
	case status.Clean:
		b.WriteString("  it was asked to stop\n")
	case status.Killed:
		b.WriteString("  it was killed: by someone, or by the kernel for want of memory (see `dmesg`)\n")
	case status.CutOff:
		b.WriteString("  the machine lost its power, or was reset, while it ran\n")
	case status.Unknown:
		b.WriteString("  it ended without a word\n")
	default:
		for i, part := range strings.Split(strings.TrimSpace(r.Error), "\n") {
			if i == maxErrorLines {
				b.WriteString("  ...\n")
				break
			}
			fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(part, "; to cure: ", "\n  to cure: "))
		}
	}
	return b.String()
}

// maxErrorLines bounds what is shown of an error; a panic comes with its stack.
const maxErrorLines = 12

func (a *answer) servicesText(p page) string {
	rows := [][]string{{"SERVICE", "STATE", "SINCE", "RESTARTS", "WHY"}}
	var well []string
	for _, s := range worstFirst(a.Services, badness) {
		if s.Phase == run.Ready && s.Restarts == 0 && !p.wide {
			well = append(well, s.Name+" "+p.age(s.Since))
			continue
		}
		why := s.Error
		switch {
		case len(s.WaitsFor) > 0:
			why = "for " + strings.Join(s.WaitsFor, ", ")
		case s.Phase == run.Ready && s.Error != "":
			why = "before: " + s.Error
		}
		restarts := ""
		if s.Restarts > 0 {
			restarts = fmt.Sprint(s.Restarts)
		}
		rows = append(rows, []string{s.Name, p.paint(colourOfPhase(s.Phase), string(s.Phase)), p.age(s.Since), restarts, why})
	}
	return p.table(rows) + p.list("ready", well)
}

func (a *answer) componentsText(p page) string {
	rows := [][]string{{"COMPONENT", "WHAT", "STATE", "SINCE", "WHY"}}
	var well []string
	counts := map[string]int{}
	for _, c := range worstFirst(a.Components, componentRank) {
		if c.OK && c.Error == "" && !p.wide {
			key := c.Service + " " + c.State
			if counts[key]++; counts[key] == 1 {
				well = append(well, key)
			}
			continue
		}
		colour := red
		if c.OK {
			colour = plain
		}
		rows = append(rows, []string{c.Service, c.Name, p.paint(colour, c.State), p.age(c.Since), c.Error})
	}
	for i, key := range well {
		well[i] = fmt.Sprintf("%s %d", key, counts[key])
	}
	return p.table(rows) + p.list("well", well)
}

func (a *answer) nodesText(p page) string {
	if a.NodesError != "" {
		return p.paint(yellow, "nothing is known of the nodes:") + " " + oneLine(a.NodesError) + "\n"
	}
	rows := [][]string{{"NODE", "STATE", "SINCE", "WHY"}}
	var well []string
	for _, n := range a.Nodes {
		state, colour, why := "NotReady", red, n.Reason
		if n.Ready {
			state, colour = "Ready", green
		}
		if n.Closed {
			state += ",SchedulingDisabled"
		}
		if n.Ready && !n.Closed && !n.Own && !p.wide {
			well = append(well, n.Name+" "+p.age(n.Since))
			continue
		}
		if n.Own && why == "" {
			why = "this host"
		}
		rows = append(rows, []string{n.Name, p.paint(colour, state), p.age(n.Since), why})
	}
	return p.table(rows) + p.list("ready", well)
}

// worstFirst sorts by badness, least first, and keeps the order otherwise.
func worstFirst[T any](all []T, rank func(T) int) []T {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b T) int { return rank(a) - rank(b) })
	return sorted
}

// componentRank puts what is wrong first, and then what there is something to say of.
func componentRank(c status.Component) int {
	switch {
	case !c.OK:
		return 0
	case c.Error != "":
		return 1
	}
	return 2
}

// badness ranks services: the lowest is what most needs a look.
func badness(s status.Service) int {
	order := []run.Phase{run.Failed, run.Paused, run.Starting, run.Waiting, run.Stopping, run.Stopped, run.Ready}
	rank := slices.Index(order, s.Phase)
	if s.Phase == run.Ready && s.Restarts == 0 {
		rank++
	}
	return rank
}

// age is how long ago something was, in few letters; "" when that is not known.
func (p page) age(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return duration.HumanDuration(p.now.Sub(at))
}
