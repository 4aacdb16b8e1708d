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
	// idle is the pause between samples while nobody asks. The next answer's rates are of this time, at most.
	idle = time.Minute
	// soon is the pause when a node has only one sample, which makes no rate yet; also the one before the first sample,
	// as the node of this process starts after the API server.
	soon = 15 * time.Second
	// patience is how long an answer waits for a sample.
	patience = 3 * time.Second
)

// sampler asks kubelets for figures when somebody wants to know, and rarely while nobody does: then only so that the
// first answer has something to make rates from.
type sampler struct {
	storage storage.Storage
	scrape  func(context.Context) *storage.MetricsBatch // set before run

	wanted chan struct{} // holds one entry when an answer waits for a sample
	last   *storage.MetricsBatch

	mu    sync.Mutex    // guards what follows
	taken time.Time     // when the newest sample was complete
	next  chan struct{} // closed when the next one is
}

func newSampler(s storage.Storage) *sampler {
	return &sampler{storage: s, wanted: make(chan struct{}, 1), last: &storage.MetricsBatch{}, next: make(chan struct{})}
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
	taken, next := s.newest()
	if time.Since(taken) < fresh {
		return
	}
	select {
	case s.wanted <- struct{}{}:
	default: // somebody else waits for the same
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-next:
	case <-late.C:
	}
}

func (s *sampler) newest() (taken time.Time, next <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken, s.next
}

// run samples until ctx ends.
func (s *sampler) run(ctx context.Context) {
	due := time.NewTimer(soon)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-due.C:
		case <-s.wanted:
			if taken, _ := s.newest(); time.Since(taken) < fresh {
				continue // it was asked for while it was taken
			}
		}
		if settled := s.sample(ctx); settled {
			due.Reset(idle)
		} else {
			due.Reset(soon)
		}
	}
}

// sample asks all kubelets once, and says whether every node that answered has a rate now.
func (s *sampler) sample(ctx context.Context) (settled bool) {
	since := idle
	if taken, _ := s.newest(); !taken.IsZero() {
		since = time.Since(taken)
	}
	batch := s.scrape(ctx)
	if ctx.Err() != nil {
		return false
	}
	settled = len(batch.Nodes) > 0
	for node := range batch.Nodes {
		_, before := s.last.Nodes[node]
		settled = settled && before
	}
	s.storage.Store(withBirths(s.last, batch, since))
	s.storage.Store(batch)
	s.last = batch
	s.publish()
	return settled
}

// publish lets all answers go that waited for a sample.
func (s *sampler) publish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = time.Now()
	close(s.next)
	s.next = make(chan struct{})
}
