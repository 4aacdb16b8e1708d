package metrics

import (
	"context"
	"errors"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	listers "k8s.io/client-go/listers/core/v1"
	"sigs.k8s.io/metrics-server/pkg/scraper/client"
	"sigs.k8s.io/metrics-server/pkg/storage"

	"github.com/skerry-io/skerry/internal/run"
)

// rowFigures is what the status calls the figures as a whole; each node that has none has a row of its own.
const rowFigures = "figures"

// telling asks kubelets, and has the status tell of those that do not answer. One that is away is no trouble of the server.
type telling struct {
	kubelets client.KubeletMetricsGetter
	rows     *run.Rows
}

// GetMetrics asks one.
func (t telling) GetMetrics(ctx context.Context, node *core.Node) (*storage.MetricsBatch, error) {
	batch, err := t.kubelets.GetMetrics(ctx, node)
	switch {
	case errors.Is(err, context.Canceled): // the server ends
	case err != nil:
		t.rows.Set(run.Detail{Name: node.Name, State: "silent", Err: err})
	default:
		t.rows.Drop(node.Name)
	}
	return batch, err
}

// told has the status tell what came of a sample.
func told(rows *run.Rows, nodes listers.NodeLister, scrape func(context.Context) *storage.MetricsBatch) func(context.Context) *storage.MetricsBatch {
	rows.Set(run.Detail{Name: rowFigures, State: "waiting", Err: errors.New("for the first answer of a kubelet")})
	return func(ctx context.Context) *storage.MetricsBatch {
		batch := scrape(ctx)
		if len(batch.Nodes) > 0 {
			rows.Set(run.Detail{Name: rowFigures, State: "taken"})
		}
		asked := map[string]bool{rowFigures: true}
		all, _ := nodes.List(labels.Everything()) // it reads memory, and does not fail
		for _, node := range all {
			asked[node.Name] = true
		}
		rows.Keep(func(name string) bool { return asked[name] })
		return batch
	}
}
