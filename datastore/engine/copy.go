package engine

import (
	"context"
	"time"
)

// Stored is the revision of the newest change that is for the disk, whether or not its commit was held back.
func (e *Engine) Stored() int64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.stored
}

// Copy hands over all keys that the disk keeps, in order, as they are at one revision, which is not before Stored. Writers
// go on.
func (e *Engine) Copy(ctx context.Context, each func(Record) error) error {
	at, _, release, err := e.see(0)
	if err != nil {
		return err
	}
	defer release()
	for from := ""; ; {
		records := e.page(from, at)
		if len(records) == 0 {
			return nil
		}
		from = records[len(records)-1].Key + "\x00"
		wanted := make([]int64, len(records))
		for i, r := range records {
			wanted[i] = r.Revision
		}
		values, err := e.values(ctx, wanted)
		if err != nil {
			return err
		}
		for i := range records {
			records[i].Value = values[i]
			if err := each(records[i]); err != nil {
				return err
			}
		}
	}
}

// page is a part of what the disk keeps, without values, from a key on.
func (e *Engine) page(from string, at int64) (records []Record) {
	e.visit(from, everything, at, func(n *entry, v *version) bool {
		if e.memory == nil || !e.memory.Keeps(n.key) {
			r := v.record(n.key)
			if r.Lease > 0 { // it begins anew where the copy is used
				r.Expires = time.Now().Add(seconds(r.Lease)).UnixMilli()
			}
			records = append(records, r)
		}
		return len(records) < chunk
	})
	return records
}
