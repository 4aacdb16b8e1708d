package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver"
)

// ward is a cluster of three whose third member is harmed, and has to get well.
type ward struct {
	t    *testing.T
	all  []*running
	mu   sync.Mutex // guards told
	told []Healed
}

const wardKeys = 200

func wardKey(i int) string { return fmt.Sprintf("/registry/%03d", i) }

// wardValue can be found in a file.
func wardValue(i int) string { return fmt.Sprintf("value %03d %s.", i, strings.Repeat("x", 400)) }

func newWard(t *testing.T, tuning Tuning) *ward {
	t.Helper()
	w := &ward{t: t}
	s := newSite(t)
	for n := 1; n <= 3; n++ {
		c := s.member(n)
		c.Tuning = tuning
		if n > 1 {
			c.Members = []string{w.all[0].config.ClientURL()}
		}
		c.Healed = func(h Healed) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.told = append(w.told, h)
		}
		w.all = append(w.all, run(t, c).up())
	}
	for i := range wardKeys {
		put(t, w.all[0].c, wardKey(i), wardValue(i))
	}
	until(t, "the third member has all", func() bool { return value(t, w.all[2].c, wardKey(wardKeys-1)) != "(none)" })
	w.all[2] = run(t, w.sick()).up() // knows the others, and has written everything down
	return w
}

// sick stops the third member, and gives how it is started again: it is told of no others.
func (w *ward) sick() Config {
	w.t.Helper()
	if err := w.all[2].end(); err != nil {
		w.t.Fatal(err)
	}
	c := w.all[2].config
	c.Members = nil
	return c
}

// well wants a member that has everything, and gives how often it was told that it was made anew. Members that begin again do.
func (w *ward) well(c Config) (made int) {
	w.t.Helper()
	for {
		r, err := try(w.t, c)
		if err != nil {
			w.t.Fatal(err)
		}
		w.all[2] = r
		select {
		case <-r.ready:
		case <-time.After(most):
			w.t.Fatal("it is not ready")
		case err := <-r.ended:
			r.ended <- err
			if errors.As(err, &Anew{}) {
				continue
			}
			w.t.Fatal(err)
		}
		break
	}
	for i := range wardKeys {
		answer, err := w.all[2].c.Get(w.t.Context(), wardKey(i), clientv3.WithSerializable()) // what it has itself
		if err != nil || len(answer.Kvs) != 1 || string(answer.Kvs[0].Value) != wardValue(i) {
			w.t.Fatalf("%s is %v, %v", wardKey(i), answer, err)
		}
	}
	if members, err := w.all[0].Members(w.t.Context()); err != nil || len(members) != 3 {
		w.t.Fatalf("%+v, %v", members, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	made, w.told = len(w.told), nil
	return made
}

// forget lets it be made anew again soon.
func (w *ward) forget() {
	if kept := w.all[2].config.keptIn(); kept != "" {
		_ = os.RemoveAll(kept)
	}
}

// flip changes a bit of each copy of a value that a database has.
func flip(t *testing.T, c Config, which int) {
	t.Helper()
	text, err := os.ReadFile(c.database())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(c.database(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at, bit, found := rand.IntN(len(wardValue(which))), byte(1)<<rand.IntN(8), 0
	for from := 0; ; found++ {
		next := bytes.Index(text[from:], []byte(wardValue(which)))
		if next < 0 {
			break
		}
		from += next
		if _, err := f.WriteAt([]byte{text[from+at] ^ bit}, int64(from+at)); err != nil {
			t.Fatal(err)
		}
		from++
	}
	if found == 0 {
		t.Fatalf("%s is not in the database", wardKey(which))
	}
}

// Whatever of a member is damaged while it is down: it is made anew out of what the others have, says so, and keeps what it had.
func TestADamagedMemberIsMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWard(t, quick())
	for _, harm := range []struct {
		what string
		do   func(member string) error
	}{
		{"the database is cut off", func(m string) error { return os.Truncate(filepath.Join(m, "snap", "db"), 20_000) }},
		{"the database is nonsense", func(m string) error { return scribble(filepath.Join(m, "snap", "db"), 0, 16_000) }},
		{"the log is gone", func(m string) error { return os.RemoveAll(filepath.Join(m, "wal")) }},
		{"the log is damaged", func(m string) error {
			logs, err := filepath.Glob(filepath.Join(m, "wal", "*.wal"))
			return errors.Join(err, scribble(logs[0], 200, 30))
		}},
		{"the database is a folder", func(m string) error {
			return errors.Join(os.Remove(filepath.Join(m, "snap", "db")), os.Mkdir(filepath.Join(m, "snap", "db"), 0o700))
		}},
	} {
		wait(t.Context(), etcdserver.HealthInterval)
		c := w.sick()
		if err := harm.do(filepath.Join(c.Dir, memberFolder)); err != nil {
			t.Fatal(err)
		}
		put(t, w.all[0].c, "/registry/meanwhile", harm.what)
		if made := w.well(c); made != 1 {
			t.Errorf("%s: it was made anew %d times", harm.what, made)
		}
		if _, err := os.Stat(w.all[2].config.keptIn()); err != nil || Condemned(c.Dir) {
			t.Errorf("%s: what it had is kept in %q", harm.what, w.all[2].config.keptIn())
		}
		if got := value(t, w.all[2].c, "/registry/meanwhile"); got != harm.what {
			t.Errorf("%s: it says %q", harm.what, got)
		}
	}
	wait(t.Context(), etcdserver.HealthInterval)
	c := w.sick()
	if err := w.all[0].Remove(t.Context(), c.Name); err != nil {
		t.Fatal(err)
	}
	if err := scribble(c.database(), 0, 16_000); err != nil {
		t.Fatal(err)
	}
	_, err := try(t, c)
	refusal(t, err, "was removed", "join again")
	if members, err := w.all[0].Members(t.Context()); err != nil || len(members) != 2 {
		t.Errorf("%+v, %v", members, err)
	}
}

// A bit that has changed in a value is seen at the start, before anybody is given it; anywhere else it is seen, or does no harm.
func TestChangedBits(t *testing.T) {
	t.Parallel()
	w := newWard(t, quick())
	wait(t.Context(), etcdserver.HealthInterval)
	for range 3 {
		c := w.sick()
		flip(t, c, rand.IntN(wardKeys))
		if made := w.well(c); made != 1 {
			t.Errorf("a value with another bit: it was made anew %d times", made)
		}
		w.forget()
		wait(t.Context(), etcdserver.HealthInterval)
	}
	healed := 0
	for range 6 {
		c := w.sick()
		info, err := os.Stat(c.database())
		if err != nil {
			t.Fatal(err)
		}
		at := 2*4096 + rand.Int64N(info.Size()-2*4096) // the first two pages stand in for each other
		if err := scribble(c.database(), at, 1); err != nil {
			t.Fatal(err)
		}
		if made := w.well(c); made > 0 {
			healed++
			w.forget()
			wait(t.Context(), etcdserver.HealthInterval)
		}
	}
	t.Logf("of 6 bytes anywhere, %d were seen", healed)
}

// A bit that changes while a member runs is seen after the next compaction. Which member is damaged two cannot say: they go on, and tell.
func TestABitChangesMeanwhile(t *testing.T) {
	t.Parallel()
	tuning := quick()
	tuning.Upkeep = 200 * time.Millisecond
	w := newWard(t, tuning)
	bad := w.all[2]
	revision := put(t, w.all[0].c, "/registry/last", "1")
	flip(t, bad.config, 7)
	if _, err := w.all[0].c.Compact(t.Context(), revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if err := bad.over(); !errors.As(err, &Anew{}) || !strings.Contains(err.Error(), "server-1 and server-2") && !strings.Contains(err.Error(), "server-2 and server-1") {
		t.Fatalf("it ends with %v", err)
	}
	put(t, w.all[1].c, "/registry/meanwhile", "2") // the others take no notice
	c := bad.config
	c.Members = nil
	if made := w.well(c); made != 1 {
		t.Errorf("it was made anew %d times", made)
	}
	wait(t.Context(), etcdserver.HealthInterval)
	if err := w.all[0].Remove(t.Context(), "server-2"); err != nil {
		t.Fatal(err)
	}
	w.forget()
	revision = put(t, w.all[0].c, "/registry/last", "2")
	until(t, "the third member has all", func() bool { return value(t, w.all[2].c, "/registry/last") == "2" })
	w.all[2].etcd.Server.Backend().ForceCommit()
	flip(t, w.all[2].config, 7)
	if _, err := w.all[0].c.Compact(t.Context(), revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*running{w.all[0], w.all[2]} {
		until(t, "a member doubts", func() bool {
			status, err := m.Status(context.WithoutCancel(t.Context()))
			return err == nil && status.Doubt != nil
		})
	}
	put(t, w.all[0].c, "/registry/after", "1")
}
