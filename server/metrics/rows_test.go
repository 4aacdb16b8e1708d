package metrics

import (
	"context"
	"errors"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/metrics-server/pkg/scraper"
	"sigs.k8s.io/metrics-server/pkg/storage"

	"github.com/skerry-io/skerry/internal/run"
)

// kubeletsBut answers for all nodes but those that it has an error for.
type kubeletsBut map[string]error

func (k kubeletsBut) GetMetrics(_ context.Context, node *core.Node) (*storage.MetricsBatch, error) {
	if err := k[node.Name]; err != nil {
		return nil, err
	}
	return &storage.MetricsBatch{Nodes: map[string]storage.MetricsPoint{node.Name: {}}}, nil
}

func TestStatusTellsOfNodesWithoutFigures(t *testing.T) {
	nodes := cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)
	for _, name := range []string{"a", "b"} {
		_ = nodes.Add(&core.Node{ObjectMeta: meta.ObjectMeta{Name: name}})
	}
	lister, kubelets, rows := listers.NewNodeLister(nodes), kubeletsBut{}, &run.Rows{}
	sample := told(rows, lister, scraper.NewScraper(lister, telling{kubelets, rows}, kubeletPatience, nil).Scrape)
	stands := func(when string, want ...string) {
		t.Helper()
		details := rows.Details()
		for i, d := range details {
			if len(details) != len(want) || d.Name+" "+d.State != want[i] || d.Bad {
				t.Fatalf("%s: %+v", when, details)
			}
		}
	}
	stands("at first", "figures waiting")
	kubelets["a"] = errors.New("no route")
	sample(t.Context())
	stands("a does not answer", "a silent", "figures taken")
	delete(kubelets, "a")
	kubelets["b"] = errors.New("no route")
	sample(t.Context())
	stands("b does not answer, a does", "b silent", "figures taken")
	_ = nodes.Delete(&core.Node{ObjectMeta: meta.ObjectMeta{Name: "b"}})
	sample(t.Context())
	stands("b has left", "figures taken")
}
