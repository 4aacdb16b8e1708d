package sqlite

import "sync"

// fresh is what was written and is not in the database yet, for readers.
type fresh struct {
	mu      sync.RWMutex // guards records
	records map[int64][]byte
}

func (f *fresh) add(changes []change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.records == nil {
		f.records = map[int64][]byte{}
	}
	for _, c := range changes {
		if c.kind == isPut {
			f.records[c.number] = c.record
		}
	}
}

// clear is called when the database has everything: who does not find a record here finds it there.
func (f *fresh) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.records)
}

// values fills in what it has, and gives the places of the others.
func (f *fresh) values(revisions []int64, values [][]byte) (others []int, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	others = make([]int, 0, len(revisions))
	for i, revision := range revisions {
		record, here := f.records[revision]
		if !here {
			others = append(others, i)
			continue
		}
		r, err := decode(revision, record)
		if err != nil {
			return nil, err
		}
		values[i] = r.Value
	}
	return others, nil
}
