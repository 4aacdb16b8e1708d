package local_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/skerry-io/skerry/datastore/local"
)

// filled is a directory whose datastore holds so many keys of a kilobyte.
func filled(b *testing.B, keys int) string {
	b.Helper()
	dir := b.TempDir()
	store, done, err := local.Open(b.Context(), quiet(dir))
	if err != nil {
		b.Fatal(err)
	}
	defer done()
	var writing sync.WaitGroup
	for w := range 64 {
		writing.Go(func() {
			for i := w; i < keys; i += 64 {
				if _, err := store.Create(b.Context(), fmt.Sprintf("/registry/configmaps/namespace-%d/name-of-an-object-%06d", i%50, i), []byte(strings.Repeat("v", 1000)), 0); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	return dir
}

// BenchmarkOpen is how long a start takes that checks every record of a database of 100 MB.
func BenchmarkOpen(b *testing.B) {
	dir := filled(b, 90_000)
	info, err := os.Stat(filepath.Join(dir, "skerry.db"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, done, err := local.Open(b.Context(), quiet(dir))
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		done()
		b.StartTimer()
	}
	b.ReportMetric(float64(info.Size())/1e6, "MB")
}

// BenchmarkList reads ten thousand keys with their values, and says how much memory an open datastore of that size takes.
func BenchmarkList(b *testing.B) {
	dir := filled(b, 10_000)
	before := resident(b)
	store, done, err := local.Open(b.Context(), quiet(dir))
	if err != nil {
		b.Fatal(err)
	}
	defer done()
	opened := resident(b)
	for b.Loop() {
		_, kvs, err := store.List(b.Context(), "/registry/configmaps/", "/registry/configmaps0", 0, 0, false)
		if err != nil || len(kvs) != 10_000 {
			b.Fatal(len(kvs), err)
		}
	}
	b.ReportMetric(opened-before, "MB-open")
}

// resident is what this process has in memory that is no file, in megabytes.
func resident(b *testing.B) float64 {
	b.Helper()
	runtime.GC()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	var kilobytes float64
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "RssAnon: %f", &kilobytes)
	}
	return kilobytes / 1000
}
