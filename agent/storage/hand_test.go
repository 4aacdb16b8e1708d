package storage

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

// counter is a server that writes some lists and takes reports.
type counter struct {
	mu      sync.Mutex
	lists   []wire.VolumeOrders // one for each connection
	reports []wire.VolumeReport
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		var report wire.VolumeReport
		_ = json.NewDecoder(r.Body).Decode(&report)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.reports = append(c.reports, report)
		_ = json.NewEncoder(w).Encode(wire.VolumeAnswer{Keep: true})
		return
	}
	c.mu.Lock()
	if len(c.lists) == 0 {
		c.mu.Unlock()
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	list := c.lists[0]
	c.lists = c.lists[1:]
	c.mu.Unlock()
	_ = json.NewEncoder(w).Encode(list) // and the connection ends
}

func (c *counter) about(folder string) (all []wire.VolumeReport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.reports {
		if r.Folder == folder {
			all = append(all, r)
		}
	}
	return all
}

func TestOrdersOfAServerAreCarriedOutAndWhatFailsIsTold(t *testing.T) {
	p := newPlace(t)
	large := order()
	large.Folder, large.Bytes = strings.Replace(folder, "data", "large", 1), 1<<60
	c := &counter{lists: []wire.VolumeOrders{{Orders: []wire.VolumeOrder{order(), large}}, {}, {Orders: []wire.VolumeOrder{removal(p.root), large}}}}
	web := httptest.NewServer(c)
	defer web.Close()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	var rows run.Rows
	go func() {
		defer close(done)
		p.serve(ctx, &server{http: web.Client(), url: web.URL + wire.PathVolumes, rows: &rows, log: p.log})
	}()
	defer func() { stop(); <-done }()
	for began := time.Now(); len(c.about(folder)) < 2 || len(c.about(large.Folder)) < 1; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("got the reports %v", c.about(folder))
		}
	}
	mine := c.about(folder)
	if mine[0].Remove || mine[0].Path != p.path() || !mine[1].Remove || there(p.path()) {
		t.Errorf("got the reports %v", mine)
	}
	for _, d := range rows.Details() {
		if d.Name != rowOrders && (d.Name != large.Folder || !d.Bad || !strings.Contains(d.Err.Error(), "holds")) {
			t.Errorf("the status tells %+v", d)
		}
	}
	if len(rows.Details()) != 2 {
		t.Errorf("the status tells %+v", rows.Details())
	}
	if told := c.about(large.Folder); !strings.Contains(told[0].Trouble, "holds") {
		t.Errorf("got the reports %v", told)
	}
}

func TestAHandForgetsWhatIsOrderedNoMore(t *testing.T) {
	h := newHand(nil, &server{}, nil)
	h.adopt([]wire.VolumeOrder{{Folder: "a"}, {Folder: "b"}})
	h.tasks["a"].pause = time.Minute
	h.tasks["b"].pause = time.Minute
	h.adopt([]wire.VolumeOrder{{Folder: "a"}, {Folder: "b", Bytes: 1}})
	if h.tasks["a"].pause != time.Minute || h.tasks["b"].pause != firstPause {
		t.Error("a task begins anew exactly when its order changed")
	}
	h.adopt(nil)
	if len(h.tasks) != 0 {
		t.Error("it is worked on still")
	}
	h.take([]wire.VolumeOrder{{Folder: "old"}})
	h.take([]wire.VolumeOrder{{Folder: "new"}})
	if list := <-h.lists; !slices.Equal(list, []wire.VolumeOrder{{Folder: "new"}}) {
		t.Errorf("got %v", list)
	}
}
