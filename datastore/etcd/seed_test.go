package etcd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-io/skerry/datastore/engine"
)

// records are so many keys, some with a past, some gone, some leased; with the newest of each that is there.
func records(n int) (all []engine.Record, live map[string]engine.Record, state engine.State) {
	live = map[string]engine.Record{}
	add := func(r engine.Record) {
		state.Revision++
		r.Revision = state.Revision
		if r.Created == 0 {
			r.Created = r.Revision
		}
		all = append(all, r)
		if live[r.Key] = r; r.Deleted {
			delete(live, r.Key)
		}
	}
	for i := range n {
		state.Revision += rand.Int64N(3)
		key := fmt.Sprintf("/registry/pods/%04d", i)
		add(engine.Record{Key: key, Version: 1, Value: fmt.Appendf(nil, "value %d", i)})
		created := state.Revision
		switch i % 5 {
		case 1:
			add(engine.Record{Key: key, Created: created, Version: 2, Value: make([]byte, rand.IntN(3000))})
		case 2:
			add(engine.Record{Key: key, Created: created, Deleted: true})
		case 3:
			add(engine.Record{Key: key, Created: created, Version: 2, Lease: 3600, Expires: time.Now().Add(time.Hour).UnixMilli(), Value: []byte("leased")})
		}
	}
	state.Revision += 1000
	return all, live, state
}

func each(all []engine.Record) func(func(engine.Record) error) error {
	return func(take func(engine.Record) error) error {
		for _, r := range all {
			if err := take(r); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestSeed(t *testing.T) {
	t.Parallel()
	c := newSite(t).member(1)
	all, live, state := records(2000)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	extra := []engine.Record{
		{Key: "/registry/events/over", Revision: 1, Created: 1, Version: 1, Lease: 3600, Expires: time.Now().UnixMilli() - 1},
		{Key: kinesKey, Revision: 2, Created: 2, Version: 1},
		{Key: "/registry/same/1", Revision: 3, Created: 3, Version: 1, Value: []byte("1")}, // as a transaction leaves them
		{Key: "/registry/same/2", Revision: 3, Created: 3, Version: 1, Value: []byte("2")},
	}
	if err := Seed(t.Context(), c, state, each(append(extra, all...))); err != nil {
		t.Fatal(err)
	}
	for _, r := range extra[2:] {
		live[r.Key] = r
	}
	one := run(t, c).up()
	read(t, one.c, live)
	ctx, stop := context.WithTimeout(t.Context(), most)
	defer stop()
	if watched := <-one.c.Watch(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithRev(state.Revision-1)); watched.CompactRevision != state.Revision {
		t.Errorf("a watch was told %+v", watched)
	}
	if _, err := one.c.Get(ctx, "/registry/pods/0001", clientv3.WithRev(state.Revision-1)); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("the past is answered: %v", err)
	}
	next := put(t, one.c, "/registry/pods/new", "1")
	if next != state.Revision+1 {
		t.Errorf("revision %d follows %d", next, state.Revision)
	}
	if _, err := one.c.Compact(ctx, next, clientv3.WithCompactPhysical()); err != nil {
		t.Error(err)
	}
	delete(live, "/registry/pods/new")
	if _, err := one.c.Delete(ctx, "/registry/pods/new"); err != nil {
		t.Error(err)
	}
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	one = run(t, c).up()
	read(t, one.c, live)
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	refusal(t, Seed(t.Context(), c, state, each(all)), "already", c.Dir)
}

// read wants exactly these keys.
func read(t *testing.T, c *clientv3.Client, live map[string]engine.Record) {
	t.Helper()
	answer, err := c.Get(t.Context(), "", clientv3.WithFromKey())
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Kvs) != len(live) {
		t.Errorf("%d keys are there, want %d", len(answer.Kvs), len(live))
	}
	for _, kv := range answer.Kvs {
		r := live[string(kv.Key)]
		if string(kv.Value) != string(r.Value) || kv.CreateRevision != r.Created || kv.ModRevision != r.Revision || kv.Version != r.Version || (kv.Lease != 0) != (r.Lease != 0) {
			t.Errorf("%s is %+v, want %+v", kv.Key, kv, r)
		}
		if kv.Lease == 0 {
			continue
		}
		if left, err := c.TimeToLive(t.Context(), clientv3.LeaseID(kv.Lease)); err != nil || left.TTL < 3500 || left.TTL > 3660 {
			t.Errorf("%s has %+v: %v", kv.Key, left, err)
		}
	}
}

func TestASeedThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	c := newSite(t).member(1)
	all, _, state := records(10)
	broken := errors.New("the source is broken")
	for name, source := range map[string]func(func(engine.Record) error) error{
		"the source fails": func(take func(engine.Record) error) error { return errors.Join(each(all)(take), broken) },
		"a record makes no sense": func(take func(engine.Record) error) error {
			return take(engine.Record{Key: "/registry/a", Revision: 3, Created: 7})
		},
	} {
		if err := Seed(t.Context(), c, state, source); err == nil {
			t.Errorf("%s: it is no error", name)
		}
		if left, _ := filepath.Glob(filepath.Join(c.Dir, "*")); len(left) != 1 || Exists(c.Dir) { // lock
			t.Errorf("%s: it leaves %v", name, left)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := Seed(ctx, c, state, each(all)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := Seed(t.Context(), c, state, each(all)); err != nil {
		t.Error(err)
	}
}

// What is left of a cluster becomes one of its own, with all that was answered, and the others cannot come back into it.
func TestReset(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := cluster(t, s, 3)
	want, last := map[string]string{}, int64(0)
	for i := range 300 {
		key := fmt.Sprintf("/registry/%d", i)
		want[key], last = fmt.Sprint(i), put(t, all[0].c, key, fmt.Sprint(i))
	}
	survivor := all[1]
	for _, m := range all {
		m.kill()
	}
	left, err := Reset(t.Context(), survivor.config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(left, "snap", "db")); err != nil {
		t.Errorf("what was here before: %v", err)
	}
	one := run(t, survivor.config).up()
	for key, value1 := range want {
		if got := value(t, one.c, key); got != value1 {
			t.Fatalf("%s is %q", key, got)
		}
	}
	if next := put(t, one.c, "/registry/new", "1"); next <= last+leap/2 {
		t.Errorf("revision %d follows %d", next, last)
	}
	if members, err := one.Members(t.Context()); err != nil || len(members) != 1 {
		t.Errorf("%+v, %v", members, err)
	}
	c := all[2].config
	c.Members = []string{one.config.ClientURL()}
	back, err := try(t, c)
	if err == nil {
		err = back.over()
	}
	refusal(t, err, "another cluster", c.Dir)
	if err := os.RemoveAll(filepath.Join(c.Dir, memberFolder)); err != nil {
		t.Fatal(err)
	}
	if got := value(t, run(t, c).up().c, "/registry/7"); got != "7" {
		t.Errorf("the one that joined again says %q", got)
	}
}

// What was cut off between moving the member away and putting the new one into its place is done again, from the same.
func TestAResetThatWasCutOff(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.member(1)
	one := run(t, c).up()
	want, last := map[string]string{}, int64(0)
	for i := range 50 {
		key := fmt.Sprintf("/registry/%d", i)
		want[key], last = fmt.Sprint(i), put(t, one.c, key, fmt.Sprint(i))
	}
	one.kill()
	now, making := filepath.Join(c.Dir, memberFolder), filepath.Join(c.Dir, makingFolder)
	older, former := now+formerSuffix+"20250101T000000Z", now+formerSuffix+"20260101T000000Z"
	err := os.Rename(now, former)
	for _, folder := range []string{older, filepath.Join(making, memberFolder), filepath.Join(making, lastFolder)} {
		err = errors.Join(err, os.MkdirAll(folder, 0o700))
	}
	if err != nil {
		t.Fatal(err)
	}
	if cut := CutOff(c.Dir); cut != former {
		t.Errorf("%s was cut off, and it says %q", former, cut)
	}
	left, err := Reset(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if cut := CutOff(c.Dir); cut != "" || is(making) || is(former) || !is(older) || !is(filepath.Join(left, "snap", "db")) {
		t.Errorf("it is done, and it says %q; left is %s", cut, left)
	}
	one = run(t, c).up()
	for key, value1 := range want {
		if got := value(t, one.c, key); got != value1 {
			t.Fatalf("%s is %q", key, got)
		}
	}
	if next := put(t, one.c, "/registry/new", "1"); next <= last+leap/2 {
		t.Errorf("revision %d follows %d", next, last)
	}
}

// What another work was cut off in is no reset, though there was one before.
func TestWhatIsNoResetThatWasCutOff(t *testing.T) {
	t.Parallel()
	for name, made := range map[string][]string{
		"nothing":                         nil,
		"a member":                        {memberFolder, makingFolder + "/" + lastFolder},
		"a member, reset before":          {memberFolder, memberFolder + formerSuffix + "20260101T000000Z"},
		"a member that is gone":           {memberFolder + formerSuffix + "20260101T000000Z"},
		"the beginning of the first":      {makingFolder + "/" + lastFolder},
		"one that was to be made of less": {makingFolder + "/seed", damagedFolder + "20260102T000000Z", memberFolder + formerSuffix + "20260101T000000Z"},
	} {
		dir := t.TempDir()
		for _, path := range made {
			if err := os.MkdirAll(filepath.Join(dir, path), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if cut := CutOff(dir); cut != "" {
			t.Errorf("%s: it says %q", name, cut)
		}
	}
}

func TestResetOfNothing(t *testing.T) {
	t.Parallel()
	_, err := Reset(t.Context(), newSite(t).member(1))
	refusal(t, err, "no etcd member")
}

// Whatever of a member without others is damaged: if it is the log, the database goes on without it; otherwise the newest snapshot does, and
// without any there is one fault. The process goes on in any case.
func TestDamage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.member(1)
	one := run(t, c).up()
	var revision int64
	for i := range 200 {
		revision = put(t, one.c, fmt.Sprintf("/registry/%d", i), fmt.Sprint(make([]byte, 500)))
	}
	one.etcd.Server.Backend().ForceCommit()
	one.kill()
	folder := filepath.Join(c.Dir, memberFolder)
	logs, _ := filepath.Glob(filepath.Join(folder, "wal", "0000000000000000-*.wal"))
	if len(logs) != 1 {
		t.Fatal(logs)
	}
	for name, harm := range map[string]func(member string) error{
		"the database is cut off":  func(m string) error { return os.Truncate(filepath.Join(m, "snap", "db"), 20_000) },
		"the database is nonsense": func(m string) error { return scribble(filepath.Join(m, "snap", "db"), 0, 16_000) },
		"pages of the database":    func(m string) error { return scribble(filepath.Join(m, "snap", "db"), 5*4096, 20*4096) },
		"the log is nonsense":      func(m string) error { return scribble(filepath.Join(m, "wal", filepath.Base(logs[0])), 0, 5000) },
		"the middle of the log":    func(m string) error { return scribble(filepath.Join(m, "wal", filepath.Base(logs[0])), 20_000, 3000) },
		"the log is gone":          func(m string) error { return os.RemoveAll(filepath.Join(m, "wal")) },
		"the database is a folder": func(m string) error {
			return errors.Join(os.Remove(filepath.Join(m, "snap", "db")), os.Mkdir(filepath.Join(m, "snap", "db"), 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bad := c
			bad.Dir = filepath.Join(t.TempDir(), "etcd")
			bad.Address = newSite(t).member(1).Address // what etcd opened before it gave up, it leaves open
			if err := os.CopyFS(bad.Dir, os.DirFS(c.Dir)); err != nil {
				t.Fatal(err)
			}
			if err := harm(filepath.Join(bad.Dir, memberFolder)); err != nil {
				t.Fatal(err)
			}
			var told Healed
			bad.Healed = func(h Healed) { told = h }
			m, err := try(t, bad)
			if strings.Contains(name, "log") {
				if err != nil {
					t.Fatal(err)
				}
				if got := value(t, m.up().c, "/registry/199"); got == "(none)" || told.From != revision+1 || told.Used != "" {
					t.Errorf("it says %q, and told is %s", got, told)
				}
				return
			}
			if err == nil {
				m.up()
				t.Fatal("it starts")
			}
			refusal(t, err, bad.Dir, "backup")
			t.Log(err)
		})
	}
	if got := value(t, run(t, c).up().c, "/registry/199"); got == "(none)" {
		t.Error("what was not damaged does not start")
	}
}

func scribble(path string, at int64, size int) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	noise := make([]byte, size)
	for i := range noise {
		noise[i] = byte(rand.IntN(256))
	}
	_, err = f.WriteAt(noise, at)
	return errors.Join(err, f.Close())
}
