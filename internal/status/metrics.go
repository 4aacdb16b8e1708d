package status

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/traffic"
)

// MetricsType is the content type of Metrics.
const MetricsType = "text/plain; version=0.0.4; charset=utf-8"

// Metrics is the report in the text form of Prometheus.
func (r Report) Metrics() string {
	var m exposition
	m.family("skerry_info", "gauge", "What runs; always 1.")
	m.sample("skerry_info", "1", "role", r.Process.Role, "node", r.Process.Node, "version", r.Process.Version, "kubernetes", r.Process.Kubernetes)
	m.family("skerry_start_time_seconds", "gauge", "When the process started, in Unix time.")
	m.sample("skerry_start_time_seconds", seconds(r.Process.Started.UnixMilli()))
	m.family("skerry_up", "gauge", "Whether everything is as it should be.")
	m.sample("skerry_up", flag(r.Condition == Up))
	m.family("skerry_service_ready", "gauge", "Whether a service is ready; its phase is a label.")
	for _, s := range r.Services {
		m.sample("skerry_service_ready", flag(s.Phase == run.Ready), "service", s.Name, "phase", string(s.Phase))
	}
	m.family("skerry_service_since_seconds", "gauge", "When the phase of a service began, in Unix time.")
	for _, s := range r.Services {
		m.sample("skerry_service_since_seconds", seconds(s.Since.UnixMilli()), "service", s.Name)
	}
	m.family("skerry_service_restarts_total", "counter", "How often a service ended on its own and was started again.")
	for _, s := range r.Services {
		m.sample("skerry_service_restarts_total", strconv.Itoa(s.Restarts), "service", s.Name)
	}
	m.family("skerry_component_ok", "gauge", "Whether something that a service looks after is as it should be; its state is a label.")
	for _, c := range r.Components {
		m.sample("skerry_component_ok", flag(c.OK), "service", c.Service, "name", c.Name, "state", c.State)
	}
	if len(r.Traffic) > 0 {
		m.traffic(r.Traffic)
	}
	if r.Datastore != nil {
		m.datastore(r.Datastore)
	}
	return m.String()
}

// traffic are the counters of bytes.
func (e *exposition) traffic(links []traffic.Link) {
	for _, way := range []struct {
		name, help string
		of         func(traffic.Link) uint64
	}{
		{"skerry_uplink_sent_bytes_total", "Bytes sent to a peer, with encryption: a node, or a server.", func(l traffic.Link) uint64 { return l.Sent }},
		{"skerry_uplink_received_bytes_total", "Bytes received from a peer.", func(l traffic.Link) uint64 { return l.Received }},
	} {
		e.family(way.name, "counter", way.help)
		for _, l := range links {
			e.sample(way.name, strconv.FormatUint(way.of(l), 10), "peer", l.Peer, "way", l.Way)
		}
	}
}

// exposition is a text of metrics.
type exposition struct{ strings.Builder }

func (e *exposition) family(name, kind, help string) {
	fmt.Fprintf(e, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// sample is one value; labels come in pairs of name and value.
func (e *exposition) sample(name, value string, labels ...string) {
	e.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		before := ","
		if i == 0 {
			before = "{"
		}
		fmt.Fprintf(e, `%s%s="%s"`, before, labels[i], escape(labels[i+1]))
	}
	if len(labels) > 0 {
		e.WriteString("}")
	}
	e.WriteString(" " + value + "\n")
}

func escape(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value)
}

func flag(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}

func seconds(milli int64) string { return strconv.FormatFloat(float64(milli)/1000, 'f', 3, 64) }
