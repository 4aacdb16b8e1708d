package status

import (
	"fmt"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/traffic"
)

func TestTraffic(t *testing.T) {
	a := answer{Process: process("agent"), Traffic: []traffic.Link{{Peer: "10.0.0.1:6443", Way: traffic.API, Sent: 1_204_000, Received: 800},
		{Peer: "10.0.0.1:6443", Way: traffic.Tunnel, Sent: 0, Received: 123_456_789_012}}}
	for want, text := range map[string]string{
		"TRAFFIC        WAY     SENT    RECEIVED  PER DAY\n" +
			"10.0.0.1:6443  api     1.2 MB  800 B     28.9 MB\n" +
			"10.0.0.1:6443  tunnel  0 B     123 GB    3.0 TB\n": a.trafficText(at(60)),
		"TRAFFIC        WAY     SENT    RECEIVED  PER DAY\n" +
			"10.0.0.1:6443  api     1.2 MB  800 B     -\n" +
			"10.0.0.1:6443  tunnel  0 B     123 GB    -\n": a.trafficText(at(0)),
		"": (&answer{Process: process("agent")}).trafficText(at(60)),
	} {
		trim := func(s string) string { return strings.Join(strings.Fields(s), " ") }
		if trim(text) != trim(want) && trim(text) != trim(strings.ReplaceAll(want, " -", "")) {
			t.Errorf("got\n%swant\n%s", text, want)
		}
	}
	for i := range fewLinks {
		a.Traffic = append(a.Traffic, traffic.Link{Peer: fmt.Sprint("node-", i), Way: traffic.Tunnel, Sent: 1000})
	}
	if text := a.trafficText(at(60)); !strings.Contains(text, "6 links") || strings.Contains(text, "node-1") {
		t.Errorf("many links are\n%s", text)
	}
	wide := at(60)
	wide.wide = true
	if text := a.trafficText(wide); !strings.Contains(text, "node-1") {
		t.Errorf("with all rows: \n%s", text)
	}
}
