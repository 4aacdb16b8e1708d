package helm

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

//go:embed crds.yaml
var definitions string

// fieldManager is by what name the API server knows who set a field.
const fieldManager = "skerry-helm"

// define makes the kinds known to the cluster, and waits until the API server serves HelmCharts. It makes a store and a
// cache for a kind when that is asked for first, so HelmChartConfigs are not asked for before they matter.
func define(ctx context.Context, client dynamic.Interface) error {
	all := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	for text := range strings.SplitSeq(definitions, "\n---\n") {
		var definition unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(text), &definition.Object); err != nil {
			return err
		}
		name := definition.GetName()
		if _, err := all.Apply(ctx, name, &definition, meta.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
			return fmt.Errorf("define %s: %w", name, err)
		}
	}
	return served(ctx, client, charts())
}

// served waits until objects of a kind can be listed, which is a moment after its definition.
func served(ctx context.Context, client dynamic.Interface, kind schema.GroupVersionResource) error {
	const look, enough = 100 * time.Millisecond, 15 * time.Second
	began := time.Now()
	for {
		_, err := client.Resource(kind).List(ctx, meta.ListOptions{Limit: 1})
		if err == nil {
			return nil
		}
		if time.Since(began) > enough {
			return fmt.Errorf("list %s: %w", kind.Resource, err)
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
