package sqlite

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
)

const (
	// framesAt is where the index of the write-ahead log (path-shm) says how many frames count, from SQLite's file format.
	framesAt = 16
	// claimSize is what the file beside takes on a disk, in bytes.
	claimSize = 4096
)

// meter knows how much was written: SQLite does not say.
type meter struct {
	wrote func(bytes int64)
	wal   string
	// index stays open as long as SQLite uses the file: closing it would take SQLite's locks away.
	index  *os.File
	mu     sync.Mutex // guards what follows: the log is brought home beside the commits
	frames uint32     // of the log, when it was last looked at
	done   uint32     // of these, how many are in the database
}

func (m *meter) open(path string) (err error) {
	if m.wrote == nil {
		return nil
	}
	m.wal = path + "-wal"
	if m.index, err = os.Open(path + "-shm"); errors.Is(err, os.ErrNotExist) { // it was not written to yet
		return nil
	}
	if err == nil {
		m.frames = m.look()
	}
	return err
}

func (m *meter) count(bytes int64) {
	if m.wrote != nil {
		m.wrote(bytes)
	}
}

func (m *meter) close() error {
	if m.index == nil {
		return nil
	}
	return m.index.Close()
}

func (m *meter) look() uint32 {
	var number [4]byte
	if _, err := m.index.ReadAt(number[:], framesAt); err != nil {
		return m.frames
	}
	return binary.NativeEndian.Uint32(number[:])
}

// log counts what was added to the log.
func (m *meter) log() {
	if m.index == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.look()
	added := int64(now) - int64(m.frames)
	if added < 0 { // it was begun anew
		added, m.done = int64(now), 0
	}
	m.frames = now
	m.wrote(added * (frameHeader + pageSize))
}

// checkpoint counts what is brought from the log into the database, up to a frame: each page once.
func (m *meter) checkpoint(to uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.index == nil || to <= m.done {
		return
	}
	f, err := os.Open(m.wal)
	if err != nil {
		return
	}
	defer f.Close()
	pages := map[uint32]struct{}{}
	var number [4]byte
	for frame := m.done; frame < to; frame++ {
		if _, err := f.ReadAt(number[:], walHeaderSize+int64(frame)*(frameHeader+pageSize)); err != nil {
			break
		}
		pages[binary.BigEndian.Uint32(number[:])] = struct{}{}
	}
	m.done = to
	m.wrote(int64(len(pages)) * pageSize)
}
