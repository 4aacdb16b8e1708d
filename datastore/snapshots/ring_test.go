package snapshots

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore/engine"
)

func ring(t *testing.T) Ring {
	return Ring{Dir: filepath.Join(t.TempDir(), "snapshots"), Count: 3, Log: slog.New(slog.DiscardHandler)}
}

// write makes a snapshot with a thousand keys at a revision.
func write(t *testing.T, r Ring, revision int64) Snapshot {
	t.Helper()
	made, err := r.Write(time.Now(), engine.State{Revision: revision}, func(each func(engine.Record) error) error {
		for i := range 1000 {
			if err := each(engine.Record{Revision: int64(i), Key: fmt.Sprintf("/registry/pods/%d", i), Value: []byte("the value of a pod")}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestTheNewestAreKept(t *testing.T) {
	r := ring(t)
	if all, err := r.List(); err != nil || len(all) > 0 {
		t.Errorf("before the first: %v, %v", all, err)
	}
	if newest, err := r.Newest(); err != nil || newest != nil {
		t.Errorf("before the first: %v, %v", newest, err)
	}
	for _, revision := range []int64{9, 10, 100, 1000, 11} { // in the order of revisions, not of letters or times
		write(t, r, revision)
	}
	all, err := r.List()
	if err != nil || len(all) != 3 || all[0].Revision != 1000 || all[1].Revision != 100 || all[2].Revision != 11 {
		t.Errorf("kept are %+v, %v", all, err)
	}
	if all[0].Size == 0 || all[0].Size > 20_000 {
		t.Errorf("a thousand small keys take %d bytes", all[0].Size)
	}
}

func TestDamagedSnapshotsArePassedOver(t *testing.T) {
	r := ring(t)
	good := write(t, r, 10)
	for i, harm := range []func(text []byte) []byte{
		func(text []byte) []byte { return text[:len(text)/2] },
		func(text []byte) []byte { text[len(text)/3] ^= 1; return text },
		func([]byte) []byte { return nil },
	} {
		r.Count = 10
		bad := write(t, r, int64(20+i))
		text, err := os.ReadFile(bad.Path)
		if err == nil {
			err = os.WriteFile(bad.Path, harm(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		newest, err := r.Newest()
		if err != nil || newest == nil || newest.Path != good.Path {
			t.Errorf("damage %d: %+v, %v", i, newest, err)
		}
		if _, err := os.Stat(bad.Path + ".damaged"); err != nil {
			t.Errorf("damage %d: %v", i, err)
		}
	}
}

func TestWhatCannotBeWrittenLeavesNothing(t *testing.T) {
	r, no := ring(t), errors.New("no")
	write(t, r, 10)
	if _, err := r.Write(time.Now(), engine.State{Revision: 11}, func(func(engine.Record) error) error { return no }); !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(r.Dir); err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
}
