package datastore_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// mostPuts and longestPuts bound one row; what comes first counts.
	mostPuts    = 10_000
	longestPuts = 4 * time.Second
	manyKeys    = 10_000
	manyUpdates = 100_000
	watchers    = 1000
	changes     = 200
	// longestUpdates bounds those for the size.
	longestUpdates = 30 * time.Second
)

// TestBench compares the contestants, each in a process of its own and reached through the etcd API, on the disk of TMPDIR. SKERRY_BENCH
// is the folder of kine's programs, SKERRY_RUNS how often each load is tried: its middle counts.
func TestBench(t *testing.T) {
	programs := os.Getenv("SKERRY_BENCH")
	if programs == "" {
		t.Skip("scripts/bench-datastore runs it")
	}
	runs, err := strconv.Atoi(cmp.Or(os.Getenv("SKERRY_RUNS"), "1"))
	if err != nil {
		t.Fatal(err)
	}
	all := engines(t, programs)
	b := &bench{T: t, runs: max(runs, 1), speeds: map[string]speed{}, written: map[string]float64{}}
	b.table("clients | engine | puts/s | p50 | p99 | written for each put")
	for _, clients := range []int{1, 16, 64, 256} {
		for _, e := range all {
			if !e.floor || clients == 64 { // where p99 counts
				b.puts(e, clients, 0)
			}
		}
	}
	b.table("sync takes | engine | puts/s, 64 clients | p50 | p99")
	for _, delay := range []time.Duration{10 * time.Millisecond, 50 * time.Millisecond} {
		for _, e := range all {
			if !e.floor {
				b.puts(e, 64, delay)
			}
		}
	}
	b.table(fmt.Sprintf("engine | list of %d | memory for them | %d watchers see %d changes | size after %d updates of 1000 keys", manyKeys, watchers, changes, manyUpdates))
	for _, e := range all {
		if e.weaker || !e.floor && !strings.HasPrefix(e.name, "kine") { // of kine's as it usually runs
			b.rest(e)
		}
	}
	b.targets()
}

// bench is what was measured.
type bench struct {
	*testing.T
	runs    int
	speeds  map[string]speed   // by engine, clients and delay
	written map[string]float64 // the same, for each put, in bytes
}

func (b *bench) table(columns string) {
	fmt.Printf("\n| %s |\n|%s\n", columns, strings.Repeat("---|", strings.Count(columns, "|")+1))
}

func row(e contestant, clients int, delay time.Duration) string {
	return fmt.Sprint(e.name, clients, delay)
}

func (b *bench) puts(e contestant, clients int, delay time.Duration) {
	var each, written []float64
	var p50, p99 []time.Duration
	for range b.runs {
		dir, done := b.place()
		r := e.start(b.T, dir, delay)
		s := r.puts(clients, 1000, mostPuts, longestPuts)
		written = append(written, r.stop()/float64(s.puts))
		done()
		each, p50, p99 = append(each, s.each), append(p50, s.p50), append(p99, s.p99)
	}
	s := speed{each: middle(each), p50: middle(p50), p99: middle(p99)}
	b.speeds[row(e, clients, delay)], b.written[row(e, clients, delay)] = s, middle(written)
	if delay > 0 {
		fmt.Printf("| %s | %s | %.0f | %s | %s |\n", delay, e.name, s.each, short(s.p50), short(s.p99))
		return
	}
	fmt.Printf("| %d | %s | %.0f | %s | %s | %.1f kB |\n", clients, e.name, s.each, short(s.p50), short(s.p99), middle(written)/1000)
}

// rest is what is measured once for an engine.
func (b *bench) rest(e contestant) {
	place, done := b.place()
	defer done()
	r := e.start(b.T, filepath.Join(place, "keys"), 0)
	r.puts(64, manyKeys, manyKeys, time.Minute)
	r.stop()
	r = e.start(b.T, filepath.Join(place, "empty"), 0)
	nothing := r.memory()
	r.stop()
	r = e.start(b.T, filepath.Join(place, "keys"), 0)
	full := r.memory()
	listed := r.list(manyKeys)
	seen := r.watched(watchers, changes)
	r.stop()
	r = e.start(b.T, filepath.Join(place, "updates"), 0)
	updated := r.puts(50, 20, manyUpdates, longestUpdates)
	r.stop()
	size := fmt.Sprintf("%.0f MB", taken(b.T, filepath.Join(place, "updates")))
	if updated.puts < manyUpdates {
		size += fmt.Sprintf(" after %d, %s", updated.puts, longestUpdates)
	}
	fmt.Printf("| %s | %s | %.1f MB | %s | %s |\n", e.name, short(listed), max(full-nothing, 0), short(seen), size)
}

// place is a directory that does not stay until the end: kine's log alone may take gigabytes.
func (b *bench) place() (dir string, done func()) {
	dir, err := os.MkdirTemp(b.TempDir(), "")
	if err != nil {
		b.Fatal(err)
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			b.Error(err)
		}
	}
}

func middle[T cmp.Ordered](all []T) T { return slices.Sorted(slices.Values(all))[len(all)/2] }

func short(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(100 * time.Microsecond)
}
