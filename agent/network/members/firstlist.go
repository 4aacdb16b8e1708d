package members

import (
	"context"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// How the first list is asked for: while a cluster starts, the right to it is a moment younger than the API server.
const (
	firstPause  = 100 * time.Millisecond
	firstWithin = 10 * time.Second
)

// soonListed is source, but its first list is tried again at once: the reflector above it would wait for seconds, and
// with it the node.
func soonListed(source cache.ListerWatcher) *cache.ListWatch {
	inner := cache.ToListerWatcherWithContext(source)
	first := true
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options meta.ListOptions) (runtime.Object, error) {
			until := time.Now().Add(firstWithin)
			for {
				list, err := inner.ListWithContext(ctx, options)
				if err == nil || !first || time.Now().After(until) {
					first = false
					return list, err
				}
				select {
				case <-time.After(firstPause):
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
		},
		WatchFuncWithContext: inner.WatchWithContext,
	}
}
