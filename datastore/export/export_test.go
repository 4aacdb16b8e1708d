package export_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/export"
)

func opened(t *testing.T) *clientv3.Client {
	t.Helper()
	o, err := engines.Engine{Kind: engines.SQLite, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o.Client
}

func put(t *testing.T, c *clientv3.Client, key, value string) int64 {
	t.Helper()
	answer, err := c.Put(t.Context(), key, value)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Header.Revision
}

func read(t *testing.T, c *clientv3.Client) (*export.View, []engine.Record) {
	t.Helper()
	v, err := export.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var records []engine.Record
	if err := v.Records(t.Context(), func(r engine.Record) error { records = append(records, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return v, records
}

func TestShortLivedKeysAreLeftOut(t *testing.T) {
	c := opened(t)
	for _, key := range []string{"/registry/events/default/a", "/registry/leases/kube-node-lease/pi", "/registry/masterleases/10.0.0.1",
		"/registry/peerserverleases/x", "/registry/health", "/skerry/shared", "compact_rev_key", "compact_rev_key_apiserver"} {
		put(t, c, key, "x")
	}
	want := []string{"/registry/events", "/registry/eventsfoo", "/registry/healthy", "/registry/leasesz/a", "/registry/secrets/a/b", "/zzz", "a", "compact_rev_keys", "z\x01", "~"}
	for _, key := range want {
		put(t, c, key, "x")
	}
	v, records := read(t, c)
	var got []string
	for _, r := range records {
		got = append(got, r.Key)
	}
	if !slices.Equal(got, want) || v.Keys != int64(len(want)) {
		t.Errorf("got %q, of %d", got, v.Keys)
	}
}

func TestRecordsAreAsTheyAre(t *testing.T) {
	c := opened(t)
	first := put(t, c, "/a", "1")
	second := put(t, c, "/a", "2")
	large := string(bytes.Repeat([]byte("v"), 1_400_000))
	for i := range 5 {
		put(t, c, fmt.Sprintf("/large/%d", i), large)
	}
	put(t, c, "/zero", "")
	for i := range 700 {
		put(t, c, fmt.Sprintf("/many/%05d", i), "m")
	}
	lease, err := c.Grant(t.Context(), 4000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(t.Context(), "/leased", "x", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	_, records := read(t, c)
	if len(records) != 708 {
		t.Fatalf("%d records", len(records))
	}
	if r := records[0]; r.Key != "/a" || string(r.Value) != "2" || r.Created != first || r.Revision != second || r.Version != 2 {
		t.Errorf("got %+v", r)
	}
	for _, r := range records {
		if (r.Key == "/leased") != (r.Lease == 4000 && r.Expires > 0) {
			t.Errorf("%s has the lease %d", r.Key, r.Lease)
		}
	}
}

// Under load, what is read is what there was at one revision, to the letter.
func TestOneRevision(t *testing.T) {
	c := opened(t)
	type write struct {
		revision int64
		key      string
		value    string // "" for a removal
	}
	var mu sync.Mutex
	var writes []write
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			for n := 0; ctx.Err() == nil; n++ {
				key, value := fmt.Sprintf("/registry/%d/%04d", w, random.IntN(300)), fmt.Sprintf("%d-%d", w, n)
				var revision int64
				if random.IntN(4) == 0 {
					value = ""
					answer, err := c.Delete(t.Context(), key)
					if err != nil || answer.Deleted == 0 {
						continue
					}
					revision = answer.Header.Revision
				} else {
					answer, err := c.Put(t.Context(), key, value)
					if err != nil {
						t.Error(err)
						return
					}
					revision = answer.Header.Revision
				}
				mu.Lock()
				writes = append(writes, write{revision, key, value})
				mu.Unlock()
			}
		})
	}
	type seen struct {
		at   int64
		keys map[string]string
	}
	var all []seen
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(all) >= 15 && len(writes) > 1500
	}
	for !enough() {
		v, records := read(t, c)
		keys := map[string]string{}
		for _, r := range records {
			if r.Revision > v.Revision {
				t.Errorf("%s is of revision %d, read at %d", r.Key, r.Revision, v.Revision)
			}
			keys[r.Key] = string(r.Value)
		}
		if len(keys) != len(records) {
			t.Error("a key was given twice")
		}
		all = append(all, seen{v.Revision, keys})
	}
	stop()
	writers.Wait()
	slices.SortFunc(writes, func(a, b write) int { return int(a.revision - b.revision) })
	for _, s := range all {
		want := map[string]string{}
		for _, w := range writes {
			if w.revision > s.at {
				break
			}
			if want[w.key] = w.value; w.value == "" {
				delete(want, w.key)
			}
		}
		if fmt.Sprint(want) != fmt.Sprint(s.keys) {
			t.Errorf("at %d: %d keys were read, %d were there, or their values differ", s.at, len(s.keys), len(want))
		}
	}
	t.Logf("%d writes", len(writes))
}

func TestARevisionThatIsGone(t *testing.T) {
	c := opened(t)
	for i := range 10 {
		put(t, c, fmt.Sprintf("/%d", i), "x")
	}
	v, err := export.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	last := put(t, c, "/a", "y")
	if _, err := c.Compact(t.Context(), last); err != nil {
		t.Skip("compactions are the API server's own transaction here: ", err)
	}
	if err := v.Records(t.Context(), func(engine.Record) error { return nil }); !export.Gone(err) {
		t.Errorf("got %v", err)
	}
}

func TestADigestKnowsWhatIsInIt(t *testing.T) {
	sum := func(pairs ...string) string {
		d := export.NewDigest()
		for i := 0; i < len(pairs); i += 2 {
			d.Add(engine.Record{Revision: int64(i), Key: pairs[i], Value: []byte(pairs[i+1])})
		}
		return d.String()
	}
	all := map[string]bool{}
	for _, s := range []string{sum(), sum("a", "b"), sum("ab", ""), sum("", "ab"), sum("a", "b", "c", "d"), sum("c", "d", "a", "b")} {
		all[s] = true
	}
	if len(all) != 6 {
		t.Errorf("%d digests of six contents", len(all))
	}
}

// What was written is told, also where it is not kept; what only ended is not.
func TestChanges(t *testing.T) {
	c := opened(t)
	for i := range 1500 {
		put(t, c, fmt.Sprintf("/registry/configmaps/%04d", i), "x")
	}
	put(t, c, "/registry/events/default/a", "x")
	for name, step := range map[string]struct {
		do      func() error
		changed bool
	}{
		"nothing":     {func() error { return nil }, false},
		"an event":    {func() error { _, err := c.Delete(t.Context(), "/registry/events/default/a"); return err }, false},
		"a write":     {func() error { _, err := c.Put(t.Context(), "/registry/configmaps/1499", "y"); return err }, true},
		"a presence":  {func() error { _, err := c.Put(t.Context(), "/registry/masterleases/10.0.0.1", "y"); return err }, true},
		"a new key":   {func() error { _, err := c.Put(t.Context(), "/zzz", "y"); return err }, true},
		"a removal":   {func() error { _, err := c.Delete(t.Context(), "/registry/configmaps/0007"); return err }, true},
		"one of ours": {func() error { _, err := c.Put(t.Context(), "/skerry/shared", "y"); return err }, true},
	} {
		v, _ := read(t, c)
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if what, err := v.Changed(t.Context()); err != nil || (what != "") != step.changed {
			t.Errorf("%s: %q, %v", name, what, err)
		}
	}
}

func TestServersThatAreThere(t *testing.T) {
	c := opened(t)
	if there, err := export.Servers(t.Context(), c); err != nil || len(there) != 0 {
		t.Errorf("there are %v, %v", there, err)
	}
	at := put(t, c, "/registry/masterleases/10.0.0.1", "x")
	put(t, c, "/registry/masterleasesx", "x")
	if there, err := export.Servers(t.Context(), c); err != nil || len(there) != 1 || there["10.0.0.1"] != at {
		t.Errorf("there are %v, %v", there, err)
	}
}
