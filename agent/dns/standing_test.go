package dns

import (
	"fmt"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stands waits until the rows are these: name and state each, with a "!" where someone has to look at it.
func (n *node) stands(want string) {
	n.t.Helper()
	got := ""
	for began := time.Now(); time.Since(began) < 15*time.Second; time.Sleep(20 * time.Millisecond) {
		var all []string
		for _, d := range n.rows.Details() {
			text := d.Name + " " + d.State
			if d.Bad {
				text += "!"
			}
			if d.Bad && d.Err == nil || d.Since.IsZero() {
				n.t.Fatalf("without a reason or a time: %+v", d)
			}
			all = append(all, text)
		}
		if got = strings.Join(all, ", "); got == want {
			return
		}
	}
	n.t.Errorf("it stands: %s; want %s", got, want)
}

func TestStatusTellsHowItStands(t *testing.T) {
	port := upstream(t, nil)
	a := sample(t)
	n := start(t, a, "", func(c *Config) { c.upstreamPort = port })
	n.stands("cluster-names known, upstreams none")
	n.write("nameserver 127.0.0.1\n")
	n.stands("cluster-names known, upstreams in use")

	custom := &core.ConfigMap{ObjectMeta: meta.ObjectMeta{Namespace: "kube-system", Name: customName}, Data: map[string]string{"a.override": "hosts {"}}
	a.put(configMaps, custom)
	n.stands("cluster-names known, coredns-custom refused!, upstreams in use")
	custom = custom.DeepCopy()
	custom.Data = map[string]string{"a.override": "hosts {\n192.0.2.9 printer.lan\nfallthrough\n}"}
	a.put(configMaps, custom)
	n.stands("cluster-names known, coredns-custom in use, upstreams in use")
	a.remove(configMaps, custom)
	n.stands("cluster-names known, upstreams in use")

	a.CloseClientConnections()
	a.Config.SetKeepAlivesEnabled(false)
	_ = a.Listener.Close()
	n.stands("cluster-names kept, upstreams in use")
}

func TestStatusTellsOfServersThatDoNotAnswer(t *testing.T) {
	a := newAPI(t)
	_ = a.Listener.Close()
	packets, stream := sockets(t)
	defer packets.Close()
	defer stream.Close()
	port := packets.LocalAddr().String()[strings.LastIndex(packets.LocalAddr().String(), ":")+1:]
	n := start(t, a, "nameserver 127.0.0.1\n", func(c *Config) { _, _ = fmt.Sscan(port, &c.upstreamPort) })
	n.stands("cluster-names waiting!, upstreams in use")
	if got := n.ask("A www.example"); got != "SERVFAIL" {
		t.Errorf("got %s", got)
	}
	n.stands("cluster-names waiting!, upstreams silent")
}
