package datastore_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/kinesql"
	"github.com/skerry-io/skerry/datastore/local"
)

// opener opens the store of an engine in a directory.
type opener func(ctx context.Context, dir string) (datastore.Store, func(), error)

func ours(interval time.Duration) opener {
	return func(ctx context.Context, dir string) (datastore.Store, func(), error) {
		return local.Open(ctx, local.Config{Dir: dir, CommitInterval: interval, Log: slog.New(slog.DiscardHandler)})
	}
}

// BenchmarkPuts is run with -benchtime 10000x, so that each row writes as much: creates and updates of 512 bytes, as the
// API server makes them, through the etcd API, by so many clients. All engines sync before they answer, but interval.
func BenchmarkPuts(b *testing.B) {
	for _, engine := range []struct {
		name string
		open opener
	}{{"local", ours(0)}, {"interval", ours(time.Second)}, {"kine", kinesql.Open}} {
		for _, clients := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/%d", engine.name, clients), func(b *testing.B) { puts(b, engine.open, clients) })
		}
	}
}

func puts(b *testing.B, open opener, clients int) {
	dir := b.TempDir()
	ctx, stop := context.WithCancel(b.Context())
	store, done, err := open(ctx, dir)
	if err != nil {
		b.Fatal(err)
	}
	socket, ready, ended := filepath.Join(dir, "s.sock"), make(chan struct{}), make(chan error, 1)
	go func() { ended <- datastore.Serve(ctx, store, socket, func() { close(ready) }) }()
	<-ready
	defer func() {
		stop()
		<-ended
		done()
	}()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + socket}, Logger: zap.NewNop()})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var putting sync.WaitGroup
	before := written(b)
	b.ResetTimer()
	for c := range clients {
		putting.Go(func() { put(b, client, c, &next, took) })
	}
	putting.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric((written(b)-before)/float64(b.N), "written/put")
	b.ReportMetric(0, "ns/op")
}

// put writes until b.N are done: a thousand keys in all, each created once and then updated.
func put(b *testing.B, client *clientv3.Client, c int, next *atomic.Int64, took []time.Duration) {
	value := strings.Repeat("x", 512)
	revisions := map[string]int64{}
	for i := next.Add(1) - 1; i < int64(len(took)); i = next.Add(1) - 1 {
		key := fmt.Sprintf("/registry/configmaps/default/bench-%d-%d", c, i%1000)
		began := time.Now()
		answer, err := client.Txn(b.Context()).If(clientv3.Compare(clientv3.ModRevision(key), "=", revisions[key])).
			Then(clientv3.OpPut(key, value)).Else(clientv3.OpGet(key)).Commit()
		if err != nil || !answer.Succeeded {
			b.Errorf("%s: %v, %v", key, answer, err)
			return
		}
		took[i], revisions[key] = time.Since(began), answer.Header.Revision
	}
}

// written is what this process had the kernel write to disks, in bytes.
func written(b *testing.B) (bytes float64) {
	f, err := os.Open("/proc/self/io")
	if err != nil {
		b.Skip(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "write_bytes: %f", &bytes); err == nil {
			return bytes
		}
	}
	return 0
}
