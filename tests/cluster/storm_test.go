package cluster_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/tests/testhost"
)

const (
	crowdName = "crowd" // what the test binary is called when it is a crowd of agents
	crowdSize = 200
	// stormP99 is how slow the API may be, for one request of a hundred, while the crowd comes back.
	stormP99 = time.Second
	// idleWindow is how long processor time is measured for.
	idleWindow = 4 * time.Second
)

// TestTwoHundredAgents: so many agents have their tunnels, come back after a restart of the server without stalling the
// API, and cost little while nothing happens.
func TestTwoHundredAgents(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, "", nil)
	c.serve()
	c.ready(t)
	elsewhere := c.lab.Host("crowd", testhost.Program(crowdName, self))
	alone := c.idle(t)
	members := elsewhere.Start(crowdName, "--server", c.url(), "--token", c.token(t), "--count", strconv.Itoa(crowdSize))
	all := func() error {
		if got := tunnels(t, elsewhere); got < crowdSize || !members.Running() {
			return fmt.Errorf("%d tunnels; the crowd wrote\n%s", got, tail(members.Output(), 5))
		}
		return nil
	}
	begin := time.Now()
	c.eventually(t, "all have a tunnel", all)
	t.Logf("%d agents joined in %v", crowdSize, time.Since(begin).Round(10*time.Millisecond))
	with := c.idle(t)
	t.Logf("an idle agent's tunnel costs the server %.0f KiB and %.3f %% of a core (server alone: %d MiB, %.2f %%)",
		float64(with.memory-alone.memory)/1024/crowdSize, (with.core-alone.core)/crowdSize, alone.memory>>20, alone.core)

	c.proc.Kill()
	c.serve()
	c.apiReady(t)
	begin = time.Now()
	took := c.whileAsking(t, all)
	p99 := took[len(took)*99/100]
	t.Logf("all came back %v after the API; of %d requests meanwhile the 99th percentile took %v, the slowest %v",
		time.Since(begin).Round(10*time.Millisecond), len(took), p99, took[len(took)-1])
	if p99 > stormP99 {
		t.Errorf("the API took %v, more than %v", p99, stormP99)
	}
}

// whileAsking asks the API until check is content, at least a hundred times, and gives how long each answer took, sorted.
func (c *cluster) whileAsking(t *testing.T, check func() error) []time.Duration {
	t.Helper()
	var took []time.Duration
	c.eventually(t, "the crowd is back", func() error {
		for range 20 {
			begin := time.Now()
			if _, err := c.api.CoreV1().ConfigMaps("kube-system").List(t.Context(), metav1.ListOptions{}); err != nil {
				t.Errorf("the API says %v", err)
			}
			took = append(took, time.Since(begin))
		}
		if len(took) < 100 {
			return fmt.Errorf("%d requests", len(took))
		}
		return check()
	})
	slices.Sort(took)
	return took
}

// tunnels counts the host's connections to the server's port, each of which is a tunnel when nothing else runs there.
func tunnels(t *testing.T, h *testhost.Host) int {
	t.Helper()
	table, err := h.Run(t.Context(), "cat", "/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	const port, established = ":192B", "01"
	count := 0
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[2], port) && f[3] == established {
			count++
		}
	}
	return count
}

// idleCost is what the server takes while nothing happens.
type idleCost struct {
	memory int     // resident bytes
	core   float64 // percent of one core
}

// idle measures for a while, which is the one thing here that takes its time.
func (c *cluster) idle(t *testing.T) idleCost {
	t.Helper()
	before, begin := ticks(t, c.proc.Pid()), time.Now()
	time.Sleep(idleWindow)
	spent := float64(ticks(t, c.proc.Pid())-before) / 100 // the kernel's USER_HZ
	return idleCost{resident(t, c), 100 * spent / time.Since(begin).Seconds()}
}

// ticks is the processor time of a process and its children's that it waited for, in hundredths of a second.
func ticks(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+2:])
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return user + system
}
