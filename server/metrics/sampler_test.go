package metrics

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/metrics-server/pkg/storage"
)

// scrapes counts samples; every node named answers, after a delay.
type scrapes struct {
	begin time.Time
	delay time.Duration

	mu    sync.Mutex // guards what follows
	nodes []string
	at    []time.Duration
}

func (s *scrapes) scrape(ctx context.Context) *storage.MetricsBatch {
	s.mu.Lock()
	s.at = append(s.at, time.Since(s.begin))
	nodes := s.nodes
	s.mu.Unlock()
	late := time.NewTimer(s.delay)
	defer late.Stop()
	select {
	case <-late.C:
	case <-ctx.Done():
	}
	batch := &storage.MetricsBatch{Nodes: map[string]storage.MetricsPoint{}}
	for _, name := range nodes {
		batch.Nodes[name] = storage.MetricsPoint{Timestamp: time.Now(), CumulativeCPUUsed: uint64(time.Since(s.begin)), MemoryUsage: 1 << 20}
	}
	return batch
}

// samples gives when samples began.
func (s *scrapes) samples() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *scrapes) join(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = append(s.nodes, node)
}

// sampling runs a sampler as long as the test.
func sampling(t *testing.T, delay time.Duration, nodes ...string) (*sampler, *scrapes) {
	t.Helper()
	from := &scrapes{begin: time.Now(), delay: delay, nodes: nodes}
	s := newSampler(storage.NewStorage(resolution))
	s.scrape = from.scrape
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return s, from
}

// rate asks for a node's use of CPU in millicores, zero for none, and says how long the answer took.
func rate(t *testing.T, s *sampler, node string) (millicores int64, took time.Duration) {
	t.Helper()
	began := time.Now()
	found, err := s.GetNodeMetrics(&core.Node{ObjectMeta: meta.ObjectMeta{Name: node}})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) > 0 {
		millicores = found[0].Usage.Cpu().MilliValue()
	}
	return millicores, time.Since(began)
}

func sameTimes(t *testing.T, have []time.Duration, want ...time.Duration) {
	t.Helper()
	for i := range max(len(have), len(want)) {
		if i >= len(have) || i >= len(want) || have[i].Round(time.Second) != want[i] {
			t.Fatalf("samples were taken at %v, not at %v", have, want)
		}
	}
}

func TestIdleSamplesAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, from := sampling(t, 0, "a")
		time.Sleep(5 * time.Minute)
		sameTimes(t, from.samples(), 15*time.Second, 30*time.Second, 90*time.Second, 150*time.Second, 210*time.Second, 270*time.Second)
	})
}

func TestFirstAnswerAfterIdling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, from := sampling(t, time.Second/2, "a")
		time.Sleep(2*time.Minute + 15*time.Second)
		before := len(from.samples())
		cpu, took := rate(t, s, "a")
		if cpu != 1000 || took != time.Second/2 || len(from.samples()) != before+1 {
			t.Errorf("%d millicores after %v and %d samples", cpu, took, len(from.samples())-before)
		}
	})
}

func TestAutoscalerGetsNewFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, from := sampling(t, 10*time.Millisecond, "a")
		time.Sleep(time.Minute)
		before := len(from.samples())
		for range 20 {
			rate(t, s, "a")
			time.Sleep(15 * time.Second)
		}
		if taken := len(from.samples()) - before; taken != 20 {
			t.Errorf("%d samples for 20 questions", taken)
		}
	})
}

func TestManyQuestionsShareASample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, from := sampling(t, time.Second, "a")
		time.Sleep(time.Minute + time.Second)
		before := len(from.samples())
		var asking sync.WaitGroup
		for range 50 {
			asking.Go(func() { rate(t, s, "a") })
		}
		asking.Wait()
		time.Sleep(5 * time.Second)
		if taken := len(from.samples()) - before; taken != 1 {
			t.Errorf("%d samples", taken)
		}
		if _, took := rate(t, s, "a"); took != 0 {
			t.Errorf("a fresh sample was waited for %v", took)
		}
	})
}

func TestKubeletsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := sampling(t, 9*time.Second, "a")
		time.Sleep(3 * time.Minute)
		if cpu, took := rate(t, s, "a"); cpu != 1000 || took > patience {
			t.Errorf("%d millicores after %v", cpu, took)
		}
	})
}

func TestNewNodeSoonHasARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, from := sampling(t, 0, "a")
		time.Sleep(91 * time.Second)
		from.join("b")
		time.Sleep(time.Minute + 15*time.Second)
		if cpu, _ := rate(t, s, "b"); cpu == 0 {
			t.Errorf("no rate, after samples at %v", from.samples())
		}
	})
}
