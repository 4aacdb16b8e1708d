package local_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore/local"
)

// TestASlowDisk: on a disk that takes 50 ms for a sync, clients that write at the same time share syncs, and none waits for more than a
// few of them.
func TestASlowDisk(t *testing.T) {
	const (
		sync50           = 50 * time.Millisecond
		clients, eachPut = 64, 10
	)
	var commits atomic.Int32
	c := quiet(t.TempDir())
	c.Failpoint = func(name string) {
		if name == "sqlite/filled" { // the sync is next
			commits.Add(1)
			time.Sleep(sync50)
		}
	}
	store, done, err := local.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	var (
		writing sync.WaitGroup
		mu      sync.Mutex // guards took
		took    []time.Duration
	)
	for client := range clients {
		writing.Go(func() {
			for i := range eachPut {
				begin := time.Now()
				if _, err := store.Create(t.Context(), fmt.Sprintf("/registry/pods/%d-%d", client, i), []byte("1"), 0); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(begin))
				mu.Unlock()
			}
		})
	}
	writing.Wait()
	slices.Sort(took)
	slowest := took[len(took)-1]
	t.Logf("%d writes in %d commits, the slowest took %s", len(took), commits.Load(), slowest)
	if shared := len(took) / int(commits.Load()); shared < clients*3/4 {
		t.Errorf("%d writes share a commit", shared)
	}
	if slowest > 20*sync50 {
		t.Errorf("a write took %s", slowest)
	}
}
