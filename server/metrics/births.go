package metrics

import (
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/metrics-server/pkg/storage"
)

// youngest is the age below which the use of a container since its start says little; metrics-server draws the same line.
const youngest = 10 * time.Second

// withBirths gives the sample before now, completed by what would have been in it of the containers that started since
// then: nothing used, at their start. So one sample is enough to tell what a new pod uses, however rare samples are.
// since is the time between the two, which was measured here; ages are by the clock of each node.
func withBirths(before, now *storage.MetricsBatch, since time.Duration) *storage.MetricsBatch {
	completed := &storage.MetricsBatch{Nodes: before.Nodes, Pods: maps.Clone(before.Pods)}
	if completed.Pods == nil {
		completed.Pods = map[types.NamespacedName]storage.PodMetricsPoint{}
	}
	for name, pod := range now.Pods {
		containers := maps.Clone(before.Pods[name].Containers)
		for container, point := range pod.Containers {
			had, seen := containers[container]
			age := point.Timestamp.Sub(point.StartTime)
			if same := seen && !had.StartTime.Before(point.StartTime); same || age < youngest || age > since {
				continue
			}
			if containers == nil {
				containers = map[string]storage.MetricsPoint{}
			}
			// One nanosecond later, as a sample at the start itself would pass for one of the container before.
			containers[container] = storage.MetricsPoint{StartTime: point.StartTime, Timestamp: point.StartTime.Add(1)}
		}
		if len(containers) > 0 {
			completed.Pods[name] = storage.PodMetricsPoint{Containers: containers}
		}
	}
	return completed
}
