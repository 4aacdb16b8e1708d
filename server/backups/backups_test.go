package backups_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skerry-io/skerry/datastore/shelf"
	"github.com/skerry-io/skerry/datastore/vault"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/server/backups"
)

const cluster = "0123456789abcdef"

// site is a server whose backups are files with a word in them.
type site struct {
	t      *testing.T
	dir    string
	rows   run.Rows
	broken error // why none can be made
	made   []time.Time
	warned []string
	log    bytes.Buffer
	config backups.Config
}

func newSite(t *testing.T, schedule string, keep int) *site {
	s := &site{t: t, dir: t.TempDir()}
	s.config = backups.Config{Schedule: schedule, Retention: keep, Cluster: cluster, File: filepath.Join(s.dir, "backups.json"), Rows: &s.rows,
		Log:   slog.New(slog.NewTextHandler(&s.log, nil)),
		Shelf: func() (shelf.Shelf, error) { return shelf.Directory(filepath.Join(s.dir, "backups")), nil },
		Put: func(ctx context.Context, on shelf.Shelf, now time.Time) (vault.Result, error) {
			s.made = append(s.made, now)
			if s.broken != nil {
				return vault.Result{}, s.broken
			}
			name := shelf.Name(cluster, now, true)
			size, err := on.Put(ctx, name, func(w io.Writer) error { _, err := io.WriteString(w, "x"); return err })
			return vault.Result{Name: name, Size: size}, err
		},
		Warn: func(_ context.Context, err error) error { s.warned = append(s.warned, err.Error()); return nil }}
	return s
}

// lives runs a keeper for a while.
func (s *site) lives(d time.Duration) {
	s.t.Helper()
	k, err := backups.New(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(s.t.Context(), d)
	defer stop()
	ready := false
	if err := k.Run(ctx, func() { ready = true }); err != nil || !ready {
		s.t.Errorf("it ended with %v", err)
	}
}

func (s *site) lie() (names []string) {
	s.t.Helper()
	all, err := shelf.Directory(filepath.Join(s.dir, "backups")).List(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, item := range all {
		names = append(names, item.Name)
	}
	return names
}

func (s *site) history() vault.History {
	s.t.Helper()
	h, err := vault.ReadHistory(s.config.File)
	if err != nil {
		s.t.Error(err)
	}
	return h
}

func TestByTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "0 */6 * * *", 3)
		s.lives(49 * time.Hour)
		if len(s.made) != 9 { // the first one, and every six hours for two days
			t.Errorf("made at %v", s.made)
		}
		for _, at := range s.made[1:] {
			if at.Hour()%6 != 0 || at.Minute() != 0 || at.Second() != 0 {
				t.Errorf("one was made at %s", at)
			}
		}
		if left := s.lie(); len(left) != 3 || left[0] != shelf.Name(cluster, s.made[8], true) {
			t.Errorf("there are %v", left)
		}
		h := s.history()
		if h.Failing() || h.Success == nil || !h.Success.At.Equal(s.made[8]) || h.Success.Size != 1 {
			t.Errorf("it remembers %+v", h)
		}
		if d := s.rows.Details(); len(d) != 1 || d[0].Bad || !d[0].Since.Equal(s.made[8]) {
			t.Errorf("the status says %+v", d)
		}
	})
}

func TestOneThatWasMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "0 3 * * *", 3)
		s.lives(time.Hour)
		time.Sleep(40 * time.Hour)
		began := time.Now()
		s.lives(time.Hour)
		if len(s.made) != 2 || s.made[1].Sub(began) != 10*time.Minute {
			t.Errorf("made at %v", s.made)
		}
		time.Sleep(time.Hour)
		s.lives(time.Hour) // nothing was missed since
		if len(s.made) != 2 {
			t.Errorf("made at %v", s.made)
		}
	})
}

func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "0 */6 * * *", 2)
		s.lives(13 * time.Hour)
		before := s.lie()
		s.broken = errors.New("the bucket is full")
		s.lives(20 * time.Hour)
		h := s.history()
		if !h.Failing() || h.Failure.Times < 10 || h.Success == nil || len(s.warned) != 1 || s.warned[0] != "the bucket is full" {
			t.Errorf("it remembers %+v, and warned of %v", h, s.warned)
		}
		if left := s.lie(); strings.Join(left, " ") != strings.Join(before, " ") {
			t.Errorf("of %v there is %v", before, left)
		}
		d := s.rows.Details()
		if len(d) != 2 || !d[0].Bad || d[0].State != "failed" || d[0].Err.Error() != "the bucket is full" {
			t.Errorf("the status says %+v", d)
		}
		s.broken = nil
		s.lives(time.Hour)
		if h := s.history(); h.Failing() || len(s.rows.Details()) != 1 || len(s.lie()) != 2 {
			t.Errorf("later it remembers %+v, and there is %v", h, s.lie())
		}
	})
}

func TestOthersAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "@hourly", 1)
		var names []string
		for _, name := range []string{shelf.Name(cluster, time.Unix(0, 0), false), shelf.Name("ffffffffffffffff", time.Unix(0, 0), true), "notes"} {
			path := filepath.Join(s.dir, "backups", name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("x"), 0o600)); err != nil {
				t.Fatal(err)
			}
			names = append(names, path)
		}
		s.lives(10 * time.Hour)
		for _, path := range names {
			if _, err := os.Stat(path); err != nil {
				t.Error(err)
			}
		}
		if left := s.lie(); len(left) != 3 {
			t.Errorf("there are %v", left)
		}
	})
}

func TestWhatCannotBeRead(t *testing.T) {
	if _, err := backups.New(backups.Config{Schedule: "now and then"}); err == nil {
		t.Error("it is a schedule")
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "@daily", 1)
		if err := os.WriteFile(s.config.File, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.lives(time.Hour)
		if h := s.history(); len(s.made) != 1 || h.Success == nil {
			t.Errorf("made at %v, it remembers %+v", s.made, h)
		}
	})
}
