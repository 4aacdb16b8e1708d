package ramtier

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/skerry-io/skerry/datastore/dump"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/internal/durable"
)

// kind opens a checkpoint, and says how it is laid out.
const kind = "skerry short-lived keys 1"

// Save writes down all records.
func (t *Tier) Save(state engine.State, records []engine.Record) error {
	err := durable.Write(t.path, func(file io.Writer) error {
		err := dump.Write(file, kind, state, func(each func(engine.Record) error) error {
			for _, r := range records {
				if err := each(r); err != nil {
					return err
				}
			}
			return nil
		})
		t.at("ramtier/filled")
		return err
	})
	t.at("ramtier/saved")
	return err
}

// Load gives what the last run wrote down, and takes the file away. One that is damaged is moved aside, and counts as none.
func (t *Tier) Load(each func(engine.Record) error) (engine.State, error) {
	state, records, err := read(t.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return engine.State{}, nil
	case errors.Is(err, dump.ErrDamaged):
		aside := fmt.Sprintf("%s.damaged-%s", t.path, time.Now().UTC().Format("20060102-150405"))
		t.log.Error("leases and events are lost: what the last run wrote down is damaged", "file", t.path, "kept as", aside, "err", err)
		return engine.State{}, durable.Rename(t.path, aside)
	case err != nil:
		return engine.State{}, fmt.Errorf("read %s: %w", t.path, err)
	}
	if err := durable.Remove(t.path); err != nil {
		return engine.State{}, fmt.Errorf("take away %s: %w", t.path, err)
	}
	for _, r := range records {
		if err := each(r); err != nil {
			return engine.State{}, err
		}
	}
	return state, nil
}

func read(path string) (state engine.State, records []engine.Record, err error) {
	f, err := os.Open(path)
	if err != nil {
		return state, nil, err
	}
	defer f.Close()
	state, err = dump.Read(f, kind, func(r engine.Record) error {
		records = append(records, r)
		return nil
	})
	return state, records, err
}
