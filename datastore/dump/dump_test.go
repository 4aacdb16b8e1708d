package dump

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/skerry-io/skerry/datastore/engine"
)

const kind = "a kind of file 1"

func records() []engine.Record {
	return []engine.Record{
		{Revision: 2, Created: 2, Version: 1, Key: "/registry/a", Value: []byte("one")},
		{Revision: 9, Created: 3, Version: 4, Lease: 60, Expires: 1_700_000_000_000, Key: "/registry/leases/b\x00\xff", Value: bytes.Repeat([]byte{0, 255}, 5000)},
		{Revision: 1 << 60, Created: 1 << 59, Version: 1 << 40, Key: "", Value: []byte{}},
	}
}

func written(t testing.TB, kind string, state engine.State, all []engine.Record) []byte {
	t.Helper()
	var out bytes.Buffer
	err := Write(&out, kind, state, func(each func(engine.Record) error) error {
		for _, r := range all {
			if err := each(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// read gives what is there as if it were good.
func read(file []byte, kind string) (state engine.State, all []engine.Record, err error) {
	state, err = Read(bytes.NewReader(file), kind, func(r engine.Record) error {
		all = append(all, r)
		return nil
	})
	return state, all, err
}

func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	for _, all := range [][]engine.Record{nil, records(), slices.Repeat(records(), 1000)} {
		want := engine.State{Revision: 1 << 60, Compacted: 7, Limit: 1<<60 + 1000, Clean: true}
		state, got, err := read(written(t, kind, want, all), kind)
		if err != nil || state != want || !reflect.DeepEqual(got, all) {
			t.Errorf("%d records: %v, %+v, %d are the same: %v", len(all), err, state, len(got), reflect.DeepEqual(got, all))
		}
	}
}

// A file may end anywhere: while it was written, or on a disk that lost its end.
func TestACutFileIsDamaged(t *testing.T) {
	whole := written(t, kind, engine.State{Revision: 9}, records())
	for n := range whole {
		if _, _, err := read(whole[:n], kind); !errors.Is(err, ErrDamaged) {
			t.Fatalf("the first %d of %d bytes: %v", n, len(whole), err)
		}
	}
}

func TestOneFlippedBitIsDamage(t *testing.T) {
	whole := written(t, kind, engine.State{Revision: 9, Compacted: 3, Limit: 1000}, records())
	for at := range whole {
		for bit := range 8 {
			whole[at] ^= 1 << bit
			if _, _, err := read(whole, kind); !errors.Is(err, ErrDamaged) {
				t.Fatalf("bit %d of byte %d: %v", bit, at, err)
			}
			whole[at] ^= 1 << bit
		}
	}
}

func TestAnotherKindIsRefused(t *testing.T) {
	for name, file := range map[string][]byte{
		"nothing":              nil,
		"a line":               []byte("\n"),
		"another layout":       written(t, "a kind of file 2", engine.State{}, records()),
		"a longer name":        written(t, kind+"0", engine.State{}, records()),
		"the name alone":       []byte(kind + "\n"),
		"nonsense":             bytes.Repeat([]byte{0xff}, 4096),
		"nonsense behind name": append([]byte(kind+"\n"), bytes.Repeat([]byte{0xff}, 4096)...),
	} {
		if _, all, err := read(file, kind); !errors.Is(err, ErrDamaged) || len(all) > 0 {
			t.Errorf("%s: %d records, %v", name, len(all), err)
		}
	}
}

// A length that damage made huge must not take all memory before the checksum is reached.
func TestAHugeLengthIsRefusedAtOnce(t *testing.T) {
	var file bytes.Buffer
	fmt.Fprintln(&file, kind)
	if err := numbers(&file, 1, 1, 1, more, 1, 1, 1, 0, 0, 3, longest+1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(file.Bytes(), kind); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsOfOthersArePassedOn(t *testing.T) {
	why := errors.New("no more")
	if err := Write(&bytes.Buffer{}, kind, engine.State{}, func(func(engine.Record) error) error { return why }); !errors.Is(err, why) {
		t.Errorf("writing: %v", err)
	}
	_, err := Read(bytes.NewReader(written(t, kind, engine.State{}, records())), kind, func(engine.Record) error { return why })
	if !errors.Is(err, why) || errors.Is(err, ErrDamaged) {
		t.Errorf("reading: %v", err)
	}
}
