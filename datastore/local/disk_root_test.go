package local_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/host/nstest"
)

// smallDisk is a directory with a disk of its own.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skip("no small disk can be had: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill writes until no more is taken. What is refused at first may be taken once the log has been brought home.
func fill(t *testing.T, store datastore.Store, known map[string]string) {
	t.Helper()
	text := strings.Repeat("x", 100_000)
	for refused := 0; refused < 5; {
		key := fmt.Sprintf("/registry/pods/%d", len(known))
		if _, err := store.Create(t.Context(), key, []byte(text), 0); err != nil {
			refused++
			time.Sleep(50 * time.Millisecond)
			continue
		}
		known[key], refused = text, 0
	}
}

// refuses wants writes to be refused, at once, and reads to work.
func refuses(t *testing.T, store datastore.Store, known map[string]string) {
	t.Helper()
	begin := time.Now()
	if _, err := store.Create(t.Context(), "/registry/pods/refused", make([]byte, 1<<20), 0); err == nil {
		t.Error("a disk that is full takes a write")
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("a write is refused after %s", took)
	}
	holds(t, store, known)
}

func holds(t *testing.T, store datastore.Store, known map[string]string) {
	t.Helper()
	for key, want := range known {
		if _, kv, err := store.Get(t.Context(), key, 0, false); err != nil || kv == nil || string(kv.Value) != want {
			t.Fatalf("%s was answered, and is %v: %v", key, kv != nil, err)
		}
	}
}

// TestADiskThatIsFullOrReadOnly refuses writes and nothing else, and is written to again when it can be; a start works meanwhile when the
// disk is full, and says what is wrong when it is read-only.
func TestADiskThatIsFullOrReadOnly(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	dir := smallDisk(t)
	store, done, err := local.Open(t.Context(), quiet(dir))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	fill(t, store, known)
	if len(known) < 20 {
		t.Fatalf("only %d fit", len(known))
	}
	refuses(t, store, known)
	if _, err := store.Create(t.Context(), "/registry/leases/a", []byte("1"), 60); err != nil { // until the next start
		t.Errorf("a lease: %v", err)
	}
	done()
	if store, done, err = local.Open(t.Context(), quiet(dir)); err != nil {
		t.Fatalf("a start on a full disk: %v", err)
	}
	fill(t, store, known) // the end has freed what the latest changes took
	refuses(t, store, known)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	again(t, store, known)

	done() // the kernel makes no disk read-only that is written to, but when it is damaged: package engine tries a disk that refuses
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=16m"); err != nil {
		t.Fatal(err)
	}
	var told *fault.Fault
	if _, _, err := local.Open(context.Background(), quiet(dir)); !errors.As(err, &told) || !strings.Contains(told.Cure(), "read-only") {
		t.Errorf("a start on a disk that is read-only: %v", err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	if store, done, err = local.Open(t.Context(), quiet(dir)); err != nil {
		t.Fatal(err)
	}
	defer done()
	again(t, store, known)
}

// again wants writes to be taken, and all to be there.
func again(t *testing.T, store datastore.Store, known map[string]string) {
	t.Helper()
	key := fmt.Sprintf("/registry/pods/again-%d", len(known))
	var err error
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if _, err = store.Create(t.Context(), key, []byte("1"), 0); err == nil {
			break
		}
	}
	if err != nil {
		t.Errorf("there is room, and a write is refused: %v", err)
	}
	known[key] = "1"
	holds(t, store, known)
}
