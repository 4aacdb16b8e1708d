package cluster_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const databaseDir = "/var/lib/skerry/server/db"

// TestDatastore: an idle node does not write, and a database that was damaged while the node was away heals itself.
func TestDatastore(t *testing.T) {
	n := newNode(t, nil)
	n.serve("--datastore-snapshot-interval=1m")
	n.ready(t)
	n.note(t, "kept")
	t.Run("an idle node does not write to it", func(t *testing.T) {
		n.eventually(t, "nothing is written for 20 seconds", func() error {
			before := n.databaseFiles(t)
			quiet(t, 20*time.Second)
			if after := n.databaseFiles(t); after != before {
				return fmt.Errorf("there were\n%s\nand now there are\n%s", before, after)
			}
			return nil
		})
	})
	n.eventually(t, "a snapshot is made", func() error {
		if found, _ := filepath.Glob(n.host.Path(databaseDir + "/snapshots/*.zst")); len(found) == 0 {
			return fmt.Errorf("there is none in %s", n.databaseFiles(t))
		}
		return nil
	})
	n.note(t, "late")
	t.Run("a stop keeps leases", func(t *testing.T) {
		before := n.heartbeat(t)
		n.stop(t)
		n.serve()
		n.ready(t)
		if after := n.heartbeat(t); after != before {
			t.Errorf("the node's lease was %s, and is %s", before, after)
		}
	})
	t.Run("a damaged database heals", func(t *testing.T) {
		n.stop(t)
		n.damage(t)
		n.serve()
		n.ready(t)
		n.holds(t, map[string]bool{"kept": true})
		s := n.statusUntil(t, "the loss is told", func(s told) bool {
			for _, c := range s.Components {
				if c.Service == "datastore" && c.State == "healed" {
					return true
				}
			}
			return false
		})
		if s.Well {
			t.Error("all is well, and something was lost")
		}
		n.eventually(t, "there is an Event", func() error {
			events, err := n.api.CoreV1().Events(inDefault).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=DatastoreHealed"})
			if err != nil || len(events.Items) != 1 {
				return fmt.Errorf("%d, %v", len(events.Items), err)
			}
			return nil
		})
	})
}

func (n *node) note(t *testing.T, name string) {
	t.Helper()
	c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := n.api.CoreV1().ConfigMaps(inDefault).Create(t.Context(), c, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// heartbeat is which Lease the node has; it stays the same one as long as it is renewed.
func (n *node) heartbeat(t *testing.T) string {
	t.Helper()
	leases, err := n.api.CoordinationV1().Leases("kube-node-lease").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(leases.Items) != 1 {
		t.Fatal(leases, err)
	}
	return string(leases.Items[0].UID)
}

// databaseFiles is what the database's files look like from outside.
func (n *node) databaseFiles(t *testing.T) (all string) {
	t.Helper()
	entries, err := os.ReadDir(n.host.Path(databaseDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && !entry.IsDir() {
			all += fmt.Sprintf("%s %s %d\n", entry.Name(), info.ModTime().Format(time.StampMilli), info.Size())
		}
	}
	return all
}

// damage overwrites a piece in the middle of the database, as a card that wears out does.
func (n *node) damage(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(n.host.Path(databaseDir+"/skerry.db"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 8192), info.Size()/2); err != nil {
		t.Fatal(err)
	}
}

// quiet lets time pass in which nothing should happen.
func quiet(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	<-ctx.Done()
}
