package etcd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/internal/durable"
)

// A member that is alone falls back to its newest snapshot that is whole, says which revisions are lost, and goes on far above them.
func TestALoneMemberFallsBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.member(1)
	c.SnapshotInterval, c.SnapshotCount = 100*time.Millisecond, 3
	var told Healed
	c.Healed = func(h Healed) { told = h }
	one := run(t, c).up()
	revision := put(t, one.c, "/registry/a", "1")
	until(t, "there is a snapshot of it", func() bool {
		all, err := c.ring().List()
		return err == nil && len(all) > 0 && all[0].Revision >= revision
	})
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	c.SnapshotInterval = 0
	one = run(t, c).up()
	last := put(t, one.c, "/registry/b", "2")
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	for _, harm := range []func() error{
		func() error { return scribble(c.database(), 0, 16_000) },
		func() error { return os.RemoveAll(c.database()) },
	} {
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		one = run(t, c).up()
		if a, b := value(t, one.c, "/registry/a"), value(t, one.c, "/registry/b"); a != "1" || b != "(none)" {
			t.Errorf("it has %q and %q", a, b)
		}
		if told.From != revision+1 || told.Used == "" || !strings.Contains(told.String(), fmt.Sprintf("from revision %d on are lost", revision+1)) {
			t.Errorf("told is %s", told)
		}
		if next := put(t, one.c, "/registry/c", "3"); next <= last+leap/2 {
			t.Errorf("revision %d follows %d", next, last)
		}
		if _, err := os.Stat(told.Kept); err != nil || Condemned(c.Dir) {
			t.Errorf("what was damaged is kept in %q, %v", told.Kept, err)
		}
		if err := one.end(); err != nil {
			t.Fatal(err)
		}
	}
}

// What was cut off between setting the member aside and putting another into its place is done again, from the same.
func TestAFallBackThatWasCutOff(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.member(1)
	one := run(t, c).up()
	put(t, one.c, "/registry/a", "1")
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(c.Dir, memberFolder, "wal")); err != nil {
		t.Fatal(err)
	}
	if err := c.condemn(os.ErrInvalid); err != nil {
		t.Fatal(err)
	}
	if err := c.setAside(Healed{}); err != nil {
		t.Fatal(err)
	}
	if got := value(t, run(t, c).up().c, "/registry/a"); got != "1" || Condemned(c.Dir) {
		t.Errorf("it has %q", got)
	}
}

// A member that others have joined just now is not alone any more, whatever becomes of it: it would be a second cluster.
func TestTheFirstKnowsThatItIsNotAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.member(1)
	one := run(t, c).up()
	put(t, one.c, "/registry/a", "1")
	if _, others := c.marked(); len(others) > 0 {
		t.Errorf("it has no others, and noted are %q", others)
	}
	two := run(t, s.member(2, c.ClientURL())).up()
	if _, others := c.marked(); len(others) == 0 {
		t.Error("it has another, and none is noted")
	}
	three := run(t, s.member(3, c.ClientURL())).up()
	until(t, "it knows where they are", func() bool {
		_, others := c.marked()
		return slices.Equal(others, []string{two.config.ClientURL(), three.config.ClientURL()})
	})
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	put(t, three.c, "/registry/a", "2")
	if err := os.RemoveAll(filepath.Join(c.Dir, memberFolder, "wal")); err != nil {
		t.Fatal(err)
	}
	id, others := c.marked()
	for _, noted := range [][]string{{somebody}, nil} { // the database knows, too
		if err := durable.WriteFile(filepath.Join(c.Dir, joinedFile), []byte(strings.Join(append([]string{id}, noted...), "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := try(t, c)
		refusal(t, err, "its log is gone", "move")
	}
	if err := durable.WriteFile(filepath.Join(c.Dir, joinedFile), []byte(strings.Join(append([]string{id}, others...), "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	one = run(t, c).up()
	if got := value(t, one.c, "/registry/a"); got != "2" || one.etcd.Server.Cluster().ID() != two.etcd.Server.Cluster().ID() {
		t.Errorf("it has %q, in another cluster", got)
	}
}

// After all were away at once, those that are whole take nobody for five seconds; one that is damaged waits for that.
func TestADamagedMemberAfterABlackout(t *testing.T) {
	t.Parallel()
	w := newWard(t, quick())
	c := w.sick()
	for i := range 2 {
		if err := w.all[i].end(); err != nil {
			t.Fatal(err)
		}
	}
	if err := scribble(c.database(), 0, 16_000); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		other := w.all[i].config
		other.Members = nil
		w.all[i] = run(t, other)
	}
	if made := w.well(c); made != 1 {
		t.Errorf("it was made anew %d times", made)
	}
}

// Who resets a cluster, or fills a directory, means it: a member that was to be made anew before is not.
func TestAResetAcquits(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := cluster(t, s, 2)
	put(t, all[0].c, "/registry/a", "1")
	c := all[0].config
	until(t, "it knows the other one", func() bool {
		err := all[0].mark()
		_, others := c.marked()
		return err == nil && len(others) == 1
	})
	for _, m := range all {
		m.kill()
	}
	condemned := func() {
		t.Helper()
		if err := c.condemn(os.ErrInvalid); err != nil {
			t.Fatal(err)
		}
	}
	condemned()
	if _, err := Reset(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	one := run(t, c).up()
	if got := value(t, one.c, "/registry/a"); got != "1" || Condemned(c.Dir) {
		t.Errorf("after the reset it has %q", got)
	}
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	condemned()
	if err := os.RemoveAll(filepath.Join(c.Dir, memberFolder)); err != nil {
		t.Fatal(err)
	}
	if err := Seed(t.Context(), c, engine.State{}, func(each func(engine.Record) error) error {
		return each(engine.Record{Key: "/registry/a", Value: []byte("2"), Created: 2, Revision: 2})
	}); err != nil {
		t.Fatal(err)
	}
	if got := value(t, run(t, c).up().c, "/registry/a"); got != "2" || Condemned(c.Dir) {
		t.Errorf("filled, it has %q", got)
	}
}

// A member that has others needs no snapshots, and those of before are gone; so is what a rotation of keys must not leave.
func TestSnapshotsAreForOneAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.member(1)
	c.SnapshotInterval, c.SnapshotCount = 50*time.Millisecond, 3
	one := run(t, c).up()
	count := func() int {
		all, err := c.ring().List()
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	for i := range 3 {
		put(t, one.c, "/registry/a", fmt.Sprint(i))
		until(t, "there is another snapshot", func() bool { return count() > min(i, 1) })
	}
	if at, err := one.Snapshot(); err != nil || time.Since(at) > time.Minute {
		t.Errorf("the newest is of %v, %v", at, err)
	}
	run(t, s.member(2, c.ClientURL())).up()
	until(t, "there is no snapshot", func() bool { return count() == 0 })
	if at, err := one.Snapshot(); err != nil || !at.IsZero() {
		t.Errorf("the newest is of %v, %v", at, err)
	}
	if err := one.Renew(t.Context()); err != nil || count() != 0 {
		t.Errorf("%d snapshots, %v", count(), err)
	}
}
