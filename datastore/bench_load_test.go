package datastore_test

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
)

// speed is what came of a load.
type speed struct {
	puts     int
	each     float64 // puts a second
	p50, p99 time.Duration
}

// puts creates and updates keys with values of 512 bytes, as the API server does, by so many clients: so many puts, or as many as there are
// in a time. There are keys of each client.
func (r *running) puts(clients, keys, most int, longest time.Duration) speed {
	r.t.Helper()
	var (
		next    atomic.Int64
		putting sync.WaitGroup
		took    = make([][]time.Duration, clients)
		began   = time.Now()
	)
	for c := range clients {
		putting.Go(func() {
			revisions := map[string]int64{}
			for i := 0; next.Add(1) <= int64(most) && time.Since(began) < longest; i++ {
				key := fmt.Sprintf("/registry/configmaps/default/bench-%d-%d", c, i%keys)
				begin := time.Now()
				if revisions[key] = r.put(key, revisions[key]); revisions[key] == 0 {
					return
				}
				took[c] = append(took[c], time.Since(begin))
			}
		})
	}
	putting.Wait()
	elapsed := time.Since(began)
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	if len(all) == 0 {
		r.t.Fatal("nothing was put")
	}
	return speed{puts: len(all), each: float64(len(all)) / elapsed.Seconds(), p50: all[len(all)/2], p99: all[len(all)*99/100]}
}

// put writes a key that is at a revision, and gives its next one; 0 when it could not.
func (r *running) put(key string, revision int64) int64 {
	answer, err := r.Txn(r.t.Context()).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
		Then(clientv3.OpPut(key, strings.Repeat("x", 512))).Else(clientv3.OpGet(key)).Commit()
	if err != nil || !answer.Succeeded {
		r.t.Errorf("%s: %v, %v", key, answer, err)
		return 0
	}
	return answer.Header.Revision
}

// list reads everything in one answer, some times, and gives the middle one.
func (r *running) list(count int) time.Duration {
	r.t.Helper()
	var took []time.Duration
	for range 7 {
		begin := time.Now()
		answer, err := r.Get(r.t.Context(), "/registry/configmaps/", clientv3.WithRange("/registry/configmaps0"), clientv3.WithLimit(int64(count)))
		if err != nil || len(answer.Kvs) != count {
			r.t.Fatalf("a list of %d: %v", count, err)
		}
		took = append(took, time.Since(begin))
	}
	return middle(took)
}

// watched has watchers see changes: how long it takes from the first put until each has seen all, in their order.
func (r *running) watched(watchers, changes int) time.Duration {
	r.t.Helper()
	const streams = 100 // as many as an API server has
	ctx, stop := context.WithTimeout(r.t.Context(), time.Minute)
	defer stop()
	now, err := r.Get(ctx, "/registry/configmaps/none")
	if err != nil {
		r.t.Fatal(err)
	}
	var ready, seeing sync.WaitGroup
	wrong := make(chan error, watchers)
	for w := range watchers {
		ready.Add(1)
		stream := metadata.AppendToOutgoingContext(ctx, "stream", strconv.Itoa(w%streams)) // the client opens one for each
		changed := r.Watch(clientv3.WithRequireLeader(stream), "/registry/configmaps/", clientv3.WithRange("/registry/configmaps0"),
			clientv3.WithRev(now.Header.Revision+1), clientv3.WithCreatedNotify())
		seeing.Go(func() { wrong <- see(changed, changes, sync.OnceFunc(ready.Done)) })
	}
	ready.Wait()
	begin := time.Now()
	for i := range changes {
		r.put(fmt.Sprintf("/registry/configmaps/watched-%d", i), 0)
	}
	seeing.Wait()
	took, missed := time.Since(begin), 0
	for range watchers {
		if one := <-wrong; one != nil {
			missed, err = missed+1, one
		}
	}
	if missed > 0 {
		r.t.Errorf("%d of %d watchers did not see all: %v", missed, watchers, err)
	}
	return took
}

// see wants a watch to give so many changes, each once and in order.
func see(changed clientv3.WatchChan, changes int, ready func()) (err error) {
	defer ready()
	seen := 0
	for answer := range changed {
		ready()
		err = answer.Err()
		for _, event := range answer.Events {
			if want := fmt.Sprintf("/registry/configmaps/watched-%d", seen); string(event.Kv.Key) != want {
				return fmt.Errorf("a watch gives %s, and %s is next", event.Kv.Key, want)
			}
			seen++
		}
		if seen == changes {
			return nil
		}
	}
	return fmt.Errorf("a watch ended after %d of %d changes: %w", seen, changes, cmp.Or(err, context.Canceled))
}

// taken is what the files in a directory have, in megabytes.
func taken(t *testing.T, dir string) float64 {
	t.Helper()
	bytes := int64(0)
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			info, err := entry.Info()
			if err != nil {
				return err
			}
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return float64(bytes) / 1e6
}
