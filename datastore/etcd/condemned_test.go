package etcd

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/etcd/server/v3/etcdserver"

	"github.com/skerry-io/skerry/internal/durable"
)

// trace leaves a file in a folder, to know it again.
func trace(t *testing.T, folder string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, "trace"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Wherever the healing of a member that has others is cut off, the next start goes on with it, and what was damaged is kept.
func TestAHealingThatWasCutOff(t *testing.T) {
	t.Parallel()
	w := newWard(t, quick())
	remove := func(c Config) {
		t.Helper()
		if err := w.all[0].Remove(t.Context(), c.Name); err != nil {
			t.Fatal(err)
		}
	}
	for what, cut := range map[string]func(c Config){
		"before it was removed": func(Config) {},
		"after it was removed":  remove,
		"in the new one's first start": func(c Config) {
			remove(c)
			logs := filepath.Join(c.Dir, memberFolder, "wal")
			if err := errors.Join(os.MkdirAll(logs, 0o700), os.WriteFile(filepath.Join(logs, "0000000000000000-0000000000000000.wal"), []byte("x"), 0o600)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		wait(t.Context(), etcdserver.HealthInterval)
		c := w.sick()
		trace(t, filepath.Join(c.Dir, memberFolder))
		if err := errors.Join(c.condemn(os.ErrInvalid), c.setAside(Healed{})); err != nil {
			t.Fatal(err)
		}
		cut(c)
		if made := w.well(c); made != 1 || Condemned(c.Dir) {
			t.Errorf("%s: it was made anew %d times", what, made)
		}
		if !is(filepath.Join(c.keptIn(), "trace")) {
			t.Errorf("%s: what was damaged is not kept", what)
		}
	}
}

// A member that could not start after it was made of what is left starts the next time, tells what is lost, and keeps what was damaged.
func TestAFallBackThatDoesNotStart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.member(1)
	var told []Healed
	c.Healed = func(h Healed) { told = append(told, h) }
	one := run(t, c).up()
	last := put(t, one.c, "/registry/a", "1")
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	trace(t, filepath.Join(c.Dir, memberFolder))
	if err := os.RemoveAll(filepath.Join(c.Dir, memberFolder, "wal")); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", parsed(c.PeerURL()).Host)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := try(t, c)
		refusal(t, err, "listen")
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	if len(told) > 0 || !is(filepath.Join(c.keptIn(), "trace")) {
		t.Errorf("told is %v, kept %q", told, c.keptIn())
	}
	if err := scribble(c.database(), 0, 16_000); err != nil { // not even that is whole: it is made once more
		t.Fatal(err)
	}
	one = run(t, c).up()
	if got := value(t, one.c, "/registry/a"); got != "1" || Condemned(c.Dir) || !is(filepath.Join(c.keptIn(), "trace")) {
		t.Errorf("it has %q, and kept is %q", got, c.keptIn())
	}
	if len(told) != 1 || told[0].From != last+1 {
		t.Errorf("told is %v", told)
	}
}

// Who only reads gets what is whole, or is told to start the server.
func TestAMemberAsItIs(t *testing.T) {
	t.Parallel()
	c := newSite(t).member(1)
	one := run(t, c).up()
	put(t, one.c, "/registry/a", "1")
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	c.AsItIs = true
	one = run(t, c).up()
	if got := value(t, one.c, "/registry/a"); got != "1" {
		t.Errorf("it has %q", got)
	}
	if err := errors.Join(one.end(), scribble(c.database(), 0, 16_000)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := try(t, c)
		refusal(t, err, "the database is damaged", "start the server")
	}
	if c.keptIn() != "" || Condemned(c.Dir) {
		t.Error("it was made anew")
	}
	if err := c.condemn(os.ErrInvalid); err != nil {
		t.Fatal(err)
	}
	_, err := try(t, c)
	refusal(t, err, os.ErrInvalid.Error(), "start the server")
}

// A reset that fails leaves a member condemned as it was.
func TestAResetThatFails(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir()}
	now := filepath.Join(c.Dir, memberFolder)
	if err := errors.Join(os.Mkdir(now, 0o700), c.condemn(os.ErrInvalid)); err != nil {
		t.Fatal(err)
	}
	was, err := c.sentence()
	if err := errors.Join(err, durable.Rename(now, now+".former"), c.acquit(), c.putBack(now+".former", was)); err != nil {
		t.Fatal(err)
	}
	if again, err := c.sentence(); err != nil || again != was || !is(now) {
		t.Errorf("%+v, %v", again, err)
	}
}
