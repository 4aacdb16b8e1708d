package dns

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	discovery "k8s.io/api/discovery/v1"
)

// BenchmarkHeap reports what the names of a cluster cost: Services with two endpoints each.
func BenchmarkHeap(b *testing.B) {
	for _, count := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprint(count, " services"), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(heapOf(b, count), "kB/heap")
			}
		})
	}
}

func heapOf(b *testing.B, count int) float64 {
	b.Helper()
	a := newAPI(b)
	for i := range count {
		name := fmt.Sprintf("service-number-%d", i)
		a.put(services, service("shop", name, fmt.Sprintf("10.43.%d.%d", i/250, i%250)))
		a.put(slicesPath, slice("shop", name, discovery.Endpoint{Addresses: []string{fmt.Sprintf("10.42.%d.%d", i/250, i%250)}, NodeName: ptr("node-a")},
			discovery.Endpoint{Addresses: []string{fmt.Sprintf("10.42.%d.%d", 100+i/250, i%250)}, NodeName: ptr("node-b")}))
	}
	before := heap()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	c, err := openCluster(ctx, a.config(), "cluster.local")
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { c.run(ctx); close(ended) }()
	for !c.kube.APIConn.HasSynced() {
		time.Sleep(time.Millisecond)
	}
	after := heap()
	runtime.KeepAlive(c)
	stop()
	<-ended
	return (after - before) / 1000
}

// heap is what is in use, in bytes.
func heap() float64 {
	time.Sleep(100 * time.Millisecond)
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
