package shelf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// inMemory is how much a spool keeps in memory, in bytes: most backups of small clusters.
const inMemory = 8 << 20

// Spool keeps what is written until it is read, first in memory, then in a file without a name. The datastore is read at once that
// way, however slow the taker is.
type Spool struct {
	dir    string
	memory bytes.Buffer
	file   *os.File
	size   int64
}

// NewSpool keeps nothing yet; files lie in dir.
func NewSpool(dir string) *Spool { return &Spool{dir: dir} }

// Write is io.Writer's.
func (s *Spool) Write(p []byte) (int, error) {
	if s.file == nil && s.memory.Len()+len(p) > inMemory {
		if err := s.overflow(); err != nil {
			return 0, err
		}
	}
	to := io.Writer(&s.memory)
	if s.file != nil {
		to = s.file
	}
	n, err := to.Write(p)
	s.size += int64(n)
	return n, err
}

// overflow goes on in a file, which is gone with the process at the latest.
func (s *Spool) overflow() error {
	f, err := os.CreateTemp(s.dir, ".backup-*")
	if err != nil {
		return fmt.Errorf("make room for the backup: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return errors.Join(err, f.Close())
	}
	if _, err := s.memory.WriteTo(f); err != nil {
		return errors.Join(err, f.Close())
	}
	s.file, s.memory = f, bytes.Buffer{}
	return nil
}

// Reset forgets what was written.
func (s *Spool) Reset() error {
	err := s.Close()
	s.memory, s.file, s.size = bytes.Buffer{}, nil, 0
	return err
}

// Size is how much was written, in bytes.
func (s *Spool) Size() int64 { return s.size }

// Reader reads it from the beginning.
func (s *Spool) Reader() (io.ReadSeeker, error) {
	if s.file == nil {
		return bytes.NewReader(s.memory.Bytes()), nil
	}
	_, err := s.file.Seek(0, io.SeekStart)
	return s.file, err
}

// Close lets go of the file.
func (s *Spool) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
