package metrics

import (
	"context"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	figures "k8s.io/metrics/pkg/apis/metrics"
	"sigs.k8s.io/metrics-server/pkg/storage"
)

const (
	// fresh is how long a sample is good: kubelets measure every ten to fifteen seconds, so asking them more often brings
	// the same figures. An autoscaler asks every fifteen.
	fresh = 10 * time.Second
	// idle is the pause between samples in the time after somebody asked, which lasts for remembered: so the next answer comes at
	// once. Later there are none: a sample goes over a node's uplink.
	idle, remembered = time.Minute, 30 * time.Minute
	// stale is the age of a sample that makes no rates any more: an autoscaler must not act on an average of long ago.
	stale = 90 * time.Second
	// soon is the pause when a node has only one sample, which makes no rate yet; also the one before the first sample,
	// as the node of this process starts after the API server.
	soon = 15 * time.Second
	// patience is how long an answer waits for a sample, and firstPatience how long it does for the two that the first rates take.
	patience, firstPatience = 3 * time.Second, 20 * time.Second
)

// sampler asks kubelets for figures while somebody wants to know.
type sampler struct {
	storage storage.Storage
	scrape  func(context.Context) *storage.MetricsBatch // set before run

	wanted chan struct{} // holds one entry when an answer waits for a sample
	last   *storage.MetricsBatch
	over   chan struct{} // closed when run has ended: a server that stops does not wait for answers

	mu    sync.Mutex    // guards what follows
	asked time.Time     // when somebody last wanted to know
	taken time.Time     // when the newest sample was complete
	rates bool          // there are as many as can be had
	next  chan struct{} // closed when the next one is
}

func newSampler(s storage.Storage) *sampler {
	return &sampler{storage: s, wanted: make(chan struct{}, 1), last: &storage.MetricsBatch{}, over: make(chan struct{}), next: make(chan struct{})}
}

// GetPodMetrics answers for pods, see metrics-server's api.PodMetricsGetter.
func (s *sampler) GetPodMetrics(pods ...*meta.PartialObjectMetadata) ([]figures.PodMetrics, error) {
	s.refresh()
	return s.storage.GetPodMetrics(pods...)
}

// GetNodeMetrics answers for nodes, see metrics-server's api.NodeMetricsGetter.
func (s *sampler) GetNodeMetrics(nodes ...*core.Node) ([]figures.NodeMetrics, error) {
	s.refresh()
	return s.storage.GetNodeMetrics(nodes...)
}

// refresh waits for a fresh sample, as long as patience lasts.
func (s *sampler) refresh() {
	s.mu.Lock()
	s.asked = time.Now()
	s.mu.Unlock()
	taken, next, rates := s.newest()
	patience := patience
	if !rates || time.Since(taken) > stale {
		patience = firstPatience
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for ; time.Since(taken) >= fresh || !rates; taken, next, rates = s.newest() {
		if time.Since(taken) >= fresh {
			s.want()
		}
		select {
		case <-next:
		case <-late.C:
			return
		case <-s.over:
			return
		}
	}
}

// want has a sample taken.
func (s *sampler) want() {
	select {
	case s.wanted <- struct{}{}:
	default: // somebody else waits for the same
	}
}

// isAsked says that somebody wanted to know not long ago.
func (s *sampler) isAsked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.asked.IsZero() && time.Since(s.asked) < remembered
}

func (s *sampler) newest() (taken time.Time, next <-chan struct{}, rates bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken, s.next, s.rates
}

// run samples until ctx ends, once.
func (s *sampler) run(ctx context.Context) {
	defer close(s.over)
	began, due := time.Now(), time.NewTimer(soon)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-due.C:
		case <-s.wanted:
			if taken, _, _ := s.newest(); time.Since(taken) < fresh {
				continue // it was asked for while it was taken
			}
		}
		switch settled, asked := s.sample(ctx), s.isAsked(); {
		case !settled && (asked || time.Since(began) < remembered):
			due.Reset(soon)
		case asked:
			due.Reset(idle)
		default:
			due.Stop()
		}
	}
}

// sample asks all kubelets once, and says whether every node that answered has a rate now.
func (s *sampler) sample(ctx context.Context) (settled bool) {
	since := idle
	if taken, _, _ := s.newest(); time.Since(taken) < stale {
		since = time.Since(taken)
	} else {
		s.last = &storage.MetricsBatch{}
		s.storage.Store(s.last) // also for who answers before this sample is complete
	}
	batch := s.scrape(ctx)
	if ctx.Err() != nil {
		return false
	}
	settled = len(batch.Nodes) > 0
	rates := !settled // nothing to wait for
	for node := range batch.Nodes {
		_, before := s.last.Nodes[node]
		settled, rates = settled && before, rates || before
	}
	s.storage.Store(withBirths(s.last, batch, since))
	s.storage.Store(batch)
	s.last = batch
	s.publish(rates)
	return settled
}

// publish lets all answers go that waited for a sample.
func (s *sampler) publish(rates bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken, s.rates = time.Now(), rates
	close(s.next)
	s.next = make(chan struct{})
}
