package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/tests/testhost"
)

const (
	// uplinkWindow is for how long a link is looked at: two or three heartbeats.
	uplinkWindow = 25 * time.Second
	// uplinkBound is what the link of an idle agent may cost in it, in bytes of packets. The heartbeats cost 0.8 kB, and a day of
	// nothing else 2.3 MB; the rest is room for a connection that is asked whether it lives, and for a change of some object.
	// When the whole lease goes each time, it is more than 6 kB.
	uplinkBound = 3500
	// lostAfter is how soon a node that fell silent is not Ready any more, by Kubernetes' own patience.
	lostAfter = time.Minute
)

// TestUplink: an agent that has nothing to do costs its link little, and lives all the same; and one that hangs is found out as
// soon as people are used to, although its connections are there.
func TestUplink(t *testing.T) {
	c := newCluster(t, "", nil)
	a, hung := c.newAgent(t, "idle", nil), c.newAgent(t, "hung", nil)
	c.start(t)
	began := time.Now()
	if err := hung.proc.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hung.proc.Signal(syscall.SIGCONT) }() // or its logs could not be had

	c.eventually(t, "there is a lease to delete, which its kubelet has to notice", func() error {
		return c.api.CoordinationV1().Leases("kube-node-lease").Delete(t.Context(), a.name, metav1.DeleteOptions{})
	})
	t.Run("an idle agent's link", func(t *testing.T) {
		a.quiet(t)
		c.lives(t, a.name)
	})
	t.Run("a node that hangs", func(t *testing.T) {
		var at time.Time
		c.nodeUntil(t, hung.name, "is not Ready", func(n *corev1.Node) error {
			for _, is := range n.Status.Conditions {
				if is.Type == corev1.NodeReady && is.Status == corev1.ConditionUnknown {
					at = is.LastTransitionTime.Time
					return nil
				}
			}
			return errors.New("it is")
		})
		took := at.Sub(began).Round(time.Second)
		t.Logf("it was found out after %v", took)
		if took > lostAfter {
			t.Errorf("that is more than %v", lostAfter)
		}
		if err := c.readyAre(t, c.host.Name(), hung.name, a.name); err == nil || strings.Contains(err.Error(), a.name) {
			t.Errorf("of the nodes it is said: %v", err)
		}
	})
}

// quiet waits until the agent's link has cost little for a while: the last words of the start come first.
func (a *agent) quiet(t *testing.T) {
	t.Helper()
	type look struct {
		bytes uint64
		at    time.Time
	}
	var looks []look
	a.eventually(t, fmt.Sprintf("%v cost less than %d bytes", uplinkWindow, uplinkBound), func() error {
		now := look{a.packets(t), time.Now()}
		looks = append(looks, now)
		for now.at.Sub(looks[0].at) > uplinkWindow+time.Second {
			looks = looks[1:]
		}
		used, of := now.bytes-looks[0].bytes, now.at.Sub(looks[0].at)
		if of < uplinkWindow || used > uplinkBound {
			return fmt.Errorf("%d in %v", used, of.Round(time.Second))
		}
		t.Logf("%d bytes in %v", used, of.Round(time.Second))
		return nil
	})
}

// TestUplinkOfADay prints what an idle agent with three pods costs its link in a day, by fifteen minutes from a minute after its
// start on and by 225 seconds after that, or by other samples that the variable names. It judges nothing.
func TestUplinkOfADay(t *testing.T) {
	if os.Getenv("SKERRY_MEASURE") == "" {
		t.Skip("takes twenty minutes: SKERRY_MEASURE=1 runs it, SKERRY_MEASURE=90s,225s in six")
	}
	var samples []time.Duration
	for text := range strings.SplitSeq(os.Getenv("SKERRY_MEASURE"), ",") {
		if lasts, err := time.ParseDuration(text); err == nil {
			samples = append(samples, lasts)
		}
	}
	if len(samples) == 0 {
		samples = []time.Duration{15 * time.Minute, 225 * time.Second}
	}
	c := newCluster(t, "", []string{busybox})
	a := c.newAgent(t, "idle", nil)
	c.start(t)
	for i := range 3 {
		c.create(t, webOn(a.name, fmt.Sprintf("web-%d", i), "web"))
	}
	time.Sleep(time.Minute)
	for _, lasts := range samples {
		before, packets := a.uplink(t), a.packets(t)
		time.Sleep(lasts)
		days := float64(lasts) / float64(24*time.Hour) * 1e6
		after, sum := a.uplink(t), uint64(0)
		for way, bytes := range after {
			t.Logf("%v: %s %.2f MB a day", lasts, way, float64(bytes-before[way])/days)
			sum += bytes - before[way]
		}
		t.Logf("%v: both %.2f MB a day, as packets %.2f", lasts, float64(sum)/days, float64(a.packets(t)-packets)/days)
	}
}

// packets is what the agent's cable has carried, both ways, with all headers.
func (a *agent) packets(t *testing.T) uint64 {
	t.Helper()
	return carried(t, a.host)
}

func carried(t *testing.T, h *testhost.Host) uint64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", h.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, counts, found := strings.Cut(strings.TrimSpace(line), ":"); found && name == "eth0" {
			var in, out, skip uint64
			if _, err := fmt.Sscan(counts, &in, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &out); err != nil {
				t.Fatal(err)
			}
			return in + out
		}
	}
	t.Fatalf("there is no eth0 in\n%s", text)
	return 0
}

// uplink is what the agent has counted at its sockets, by the way it went.
func (a *agent) uplink(t *testing.T) map[string]uint64 {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", a.host.Root()+"/run/skerry/status.sock")
	}}}
	answer, err := client.Get("http://skerry/status")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var told struct {
		Traffic []struct {
			Way                      string
			SentBytes, ReceivedBytes uint64
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&told); err != nil {
		t.Fatal(err)
	}
	by := map[string]uint64{}
	for _, link := range told.Traffic {
		by[link.Way] += link.SentBytes + link.ReceivedBytes
	}
	return by
}

// lives waits until a node says once more that it lives.
func (c *cluster) lives(t *testing.T, node string) {
	t.Helper()
	var first *metav1.MicroTime
	c.eventually(t, node+" renews its lease", func() error {
		lease, err := c.api.CoordinationV1().Leases("kube-node-lease").Get(t.Context(), node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if first == nil {
			first = lease.Spec.RenewTime
		}
		if first.Equal(lease.Spec.RenewTime) {
			return fmt.Errorf("it was renewed at %v", first)
		}
		return nil
	})
}
