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

	mu    sync.Mutex // guards what follows
	delay time.Duration
	nodes []string
	at    []time.Duration
}

func (s *scrapes) scrape(ctx context.Context) *storage.MetricsBatch {
	s.mu.Lock()
	s.at = append(s.at, time.Since(s.begin))
	nodes, delay := s.nodes, s.delay
	s.mu.Unlock()
	late := time.NewTimer(delay)
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

func (s *scrapes) slow(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = by
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

func TestNobodyIsAskedForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, from := sampling(t, 0, "a")
		time.Sleep(5 * time.Hour)
		sameTimes(t, from.samples(), 15*time.Second, 30*time.Second)
		rate(t, s, "a") // two, and one a minute
		time.Sleep(5 * time.Hour)
		if taken := len(from.samples()); taken < 30 || taken > 35 {
			t.Errorf("%d samples for one question: %v", taken, from.samples())
		}
	})
}

// TestNodesThatNeverAnswer are not asked for ever, either.
func TestNodesThatNeverAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, from := sampling(t, 0)
		time.Sleep(time.Minute)
		if _, took := rate(t, s, "a"); took > patience {
			t.Errorf("an answer about nobody took %v", took)
		}
		time.Sleep(2 * remembered)
		before := len(from.samples())
		time.Sleep(5 * time.Hour)
		if after := len(from.samples()); after != before {
			t.Errorf("%d more samples", after-before)
		}
	})
}

// TestFirstAnswerAfterIdling is made of two new samples: an autoscaler acts on it.
func TestFirstAnswerAfterIdling(t *testing.T) {
	for _, idle := range []time.Duration{20 * time.Second, time.Minute, 2*time.Minute + 15*time.Second, 30 * time.Minute, 5 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s, from := sampling(t, time.Second/2, "a")
			time.Sleep(idle)
			began := time.Now()
			found, err := s.GetNodeMetrics(&core.Node{ObjectMeta: meta.ObjectMeta{Name: "a"}})
			if err != nil || len(found) != 1 {
				t.Fatalf("after %v: %v, %v, with samples at %v", idle, found, err, from.samples())
			}
			window, age, took := found[0].Window.Duration, time.Since(found[0].Timestamp.Time), time.Since(began)
			if found[0].Usage.Cpu().MilliValue() != 1000 || window > stale || age > fresh || took > firstPatience {
				t.Errorf("after %v, and %v: %v over %v, %v old", idle, took, found[0].Usage.Cpu(), window, age)
			}
		})
	}
}

// TestOldFiguresAreNotTold: a kubelet that has become slow leaves the question unanswered.
func TestOldFiguresAreNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, from := sampling(t, 0, "a")
		time.Sleep(20 * time.Minute)
		from.slow(firstPatience + time.Second)
		if cpu, took := rate(t, s, "a"); cpu != 0 || took > firstPatience {
			t.Errorf("%d millicores after %v", cpu, took)
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
		if _, took := rate(t, s, "a"); took > firstPatience {
			t.Errorf("the first answer took %v", took)
		}
		time.Sleep(20 * time.Second)
		if cpu, took := rate(t, s, "a"); cpu != 1000 || took > patience {
			t.Errorf("%d millicores after %v", cpu, took)
		}
	})
}

func TestAServerThatStopsKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSampler(storage.NewStorage(resolution))
		s.scrape = (&scrapes{begin: time.Now(), nodes: []string{"a"}}).scrape
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		go s.run(ctx)
		if _, took := rate(t, s, "a"); took != time.Second {
			t.Errorf("the answer took %v", took)
		}
	})
}

func TestNewNodeSoonHasARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, from := sampling(t, 0, "a")
		time.Sleep(20 * time.Minute)
		from.join("b")
		rate(t, s, "b")
		time.Sleep(soon)
		if cpu, _ := rate(t, s, "b"); cpu == 0 {
			t.Errorf("no rate, after samples at %v", from.samples())
		}
	})
}
