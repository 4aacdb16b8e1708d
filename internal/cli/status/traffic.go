package status

import (
	"fmt"
	"time"

	"github.com/skerry-io/skerry/internal/cli/cluster"
)

// fewLinks is how many have a row of their own without being asked for.
const fewLinks = 4

// trafficText tells what went over the connections to other machines, and how much a day of the same would cost.
func (a *answer) trafficText(p page) string {
	if len(a.Traffic) == 0 || a.Process == nil {
		return ""
	}
	lives := p.now.Sub(a.Process.Started)
	rows := [][]string{{"TRAFFIC", "WAY", "SENT", "RECEIVED", "PER DAY"}}
	var sent, received uint64
	for _, l := range a.Traffic {
		sent, received = sent+l.Sent, received+l.Received
		rows = append(rows, []string{l.Peer, l.Way, cluster.Size(l.Sent), cluster.Size(l.Received), perDay(l.Sent+l.Received, lives)})
	}
	if !p.wide && len(a.Traffic) > fewLinks {
		rows = append(rows[:1], []string{fmt.Sprintf("%d links", len(a.Traffic)), "", cluster.Size(sent), cluster.Size(received), perDay(sent+received, lives)})
	}
	return p.table(rows)
}

// perDay is what a day costs when all of it is like the time since the start; too short a time says nothing.
func perDay(bytes uint64, lives time.Duration) string {
	if lives < time.Minute {
		return ""
	}
	return cluster.Size(uint64(float64(bytes) * float64(24*time.Hour) / float64(lives)))
}
