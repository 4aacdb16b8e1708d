package kinesql

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/datastore/engine"
)

func records(n int) (all []engine.Record) {
	for i := range n {
		all = append(all, engine.Record{Revision: int64(1000 - i), Created: int64(500 + i%7), Version: 2, Key: fmt.Sprintf("/registry/configmaps/%03d", i), Value: []byte{0, 0xff, byte(i)}})
	}
	return append(all,
		engine.Record{Revision: 1000, Created: 1000, Version: 1, Key: "/registry/pods/same-revision", Value: []byte("1")},
		engine.Record{Revision: 400, Created: 400, Version: 1, Lease: 3600, Key: "/registry/leases/a", Value: []byte("1")},
		engine.Record{Revision: 401, Created: 401, Version: 1, Key: compactKey, Value: []byte("of another engine")})
}

func each(all []engine.Record, err error) func(func(engine.Record) error) error {
	return func(each func(engine.Record) error) error {
		for _, r := range all {
			if err := each(r); err != nil {
				return err
			}
		}
		return err
	}
}

// seed: what another engine had is there with its revisions, they go on above it, and what fails leaves nothing.
func (d database) seed(t *testing.T) {
	c := d.config(t, d.url("seeded"))
	why := errors.New("the file ends")
	if err := Seed(t.Context(), c, engine.State{Revision: 1000}, each(records(10), why)); !errors.Is(err, why) {
		t.Fatalf("a copy that breaks off: %v", err)
	}
	if err := Seed(t.Context(), c, engine.State{Revision: 1000}, each(records(100), nil)); err != nil {
		t.Fatal(err)
	}
	if err := Seed(t.Context(), c, engine.State{Revision: 1000}, each(records(1), nil)); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "in use") || secret(err.Error()) {
		t.Errorf("a second time: %v", err)
	}
	store, done := d.connected(t, d.url("seeded"))
	defer done()
	if err := store.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, want := range records(100)[:101] {
		_, kv, err := store.Get(t.Context(), want.Key, 0, false)
		if err != nil || kv == nil || string(kv.Value) != string(want.Value) || kv.CreateRevision != want.Created || i < 100 && kv.ModRevision != want.Revision {
			t.Fatalf("%s is %+v, want %+v: %v", want.Key, kv, want, err)
		}
	}
	if _, kv, err := store.Get(t.Context(), "/registry/leases/a", 0, false); err != nil || kv == nil || kv.Lease != 3600 {
		t.Errorf("a key with a lease is %+v: %v", kv, err)
	}
	if _, _, err := store.After(t.Context(), "", "", 999); err == nil {
		t.Error("the past is there, and it was not copied")
	}
	next, err := store.Create(t.Context(), "/registry/pods/new", nil, 0)
	if err != nil || next <= 1000 {
		t.Errorf("the next revision is %d: %v", next, err)
	}
}
