package metrics

import (
	"testing"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/metrics-server/pkg/storage"
)

// point is what a container used: so many seconds of CPU since its start.
func point(start, at time.Time, seconds uint64) storage.MetricsPoint {
	return storage.MetricsPoint{StartTime: start, Timestamp: at, CumulativeCPUUsed: seconds * 1e9, MemoryUsage: 1 << 20}
}

func batch(containers map[string]storage.MetricsPoint) *storage.MetricsBatch {
	b := &storage.MetricsBatch{}
	if containers != nil {
		b.Pods = map[types.NamespacedName]storage.PodMetricsPoint{{Namespace: "default", Name: "pod"}: {Containers: containers}}
	}
	return b
}

// TestBirths holds what one more sample is worth, with samples a minute apart.
func TestBirths(t *testing.T) {
	now := time.Now()
	earlier := now.Add(-time.Minute)
	type points = map[string]storage.MetricsPoint
	for name, c := range map[string]struct {
		before, now points
		window      time.Duration // zero for no figures
	}{
		"a container that started since the sample before counts from its start": {
			nil, points{"main": point(now.Add(-30*time.Second), now, 30)}, 30 * time.Second},
		"one that was there counts from the sample before": {
			points{"main": point(earlier.Add(-time.Hour), earlier, 0)}, points{"main": point(earlier.Add(-time.Hour), now, 60)}, time.Minute},
		"one that started again counts from its new start": {
			points{"main": point(earlier.Add(-time.Hour), earlier, 500)}, points{"main": point(now.Add(-20*time.Second), now, 20)}, 20 * time.Second},
		"one that the sample before should have had has no rate": {
			nil, points{"main": point(now.Add(-time.Hour), now, 3600)}, 0},
		"one that has just started has no rate": {
			nil, points{"main": point(now.Add(-2*time.Second), now, 2)}, 0},
		"one container beside another that was there": {
			points{"main": point(earlier.Add(-time.Hour), earlier, 0)},
			points{"main": point(earlier.Add(-time.Hour), now, 60), "side": point(now.Add(-30*time.Second), now, 30)}, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			store := storage.NewStorage(resolution)
			store.Store(batch(c.before))
			store.Store(withBirths(batch(c.before), batch(c.now), time.Minute))
			store.Store(batch(c.now))
			found, err := store.GetPodMetrics(&meta.PartialObjectMetadata{ObjectMeta: meta.ObjectMeta{Namespace: "default", Name: "pod"}})
			if err != nil {
				t.Fatal(err)
			}
			if len(found) == 0 {
				if c.window != 0 {
					t.Error("no figures")
				}
				return
			}
			if len(found[0].Containers) != len(c.now) {
				t.Errorf("%d containers", len(found[0].Containers))
			}
			for _, container := range found[0].Containers {
				if cpu := container.Usage.Cpu().MilliValue(); cpu != 1000 && cpu != 999 && cpu != 1001 {
					t.Errorf("%s uses %d millicores", container.Name, cpu)
				}
			}
			if window := found[0].Window.Round(time.Second); window != c.window && len(c.now) == 1 {
				t.Errorf("the rate is of %v, not %v", window, c.window)
			}
		})
	}
}
