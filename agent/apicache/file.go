package apicache

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The file begins with its format and a salt. Records follow, each with its length before it and sealed as a whole. A record
// counts once the next record of changes is there whole: what came after the last of them was cut off by a power cut.
const (
	magic      = "skerry api cache "
	format     = "1\n" // a file of another format is dropped
	headerSize = int64(len(magic) + len(format) + saltSize)
	maxRecord  = 64 << 20
)

var (
	errTorn   = errors.New("the record is not whole")
	errFormat = errors.New("the file has another format")
)

// file is the cache on disk.
type file struct {
	path string
	disk *os.File
	seal sealer
	end  int64 // of what counts
}

// spot is where a record lies.
type spot struct {
	at   int64
	size int // of the sealed record, without its length
}

// openFile opens the file for reading on. The error says why what is there cannot be used; there may be none at all.
func openFile(path string, key *ecdsa.PrivateKey) (*file, error) {
	disk, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(disk, header); err != nil || !bytes.HasPrefix(header, []byte(magic+format)) {
		return nil, errors.Join(errFormat, disk.Close())
	}
	s, err := newSealer(key, header[len(magic+format):])
	if err != nil {
		return nil, errors.Join(err, disk.Close())
	}
	return &file{path: path, disk: disk, seal: s, end: headerSize}, nil
}

// newFile begins a file beside the one that it will replace, see swap.
func newFile(path string, key *ecdsa.PrivateKey) (*file, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	s, err := newSealer(key, salt)
	if err != nil {
		return nil, err
	}
	disk, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	f := &file{path: path, disk: disk, seal: s, end: headerSize}
	if _, err := disk.WriteAt(append([]byte(magic+format), salt...), 0); err != nil {
		return nil, errors.Join(err, f.discard())
	}
	return f, nil
}

// swap puts a new file in the place of the old one.
func (f *file) swap() error {
	if err := os.Rename(f.path+".new", f.path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// discard gives a new file up.
func (f *file) discard() error { return errors.Join(f.disk.Close(), os.Remove(f.path+".new")) }

// replay hands every record to take until the end, or until one that is not whole. take says that all up to here counts.
func (f *file) replay(take func(text []byte, where spot) (counts bool, err error)) error {
	at := headerSize
	for {
		text, size, err := f.read(at)
		if err == nil {
			var counts bool
			where := spot{at, size}
			at += 4 + int64(size)
			if counts, err = take(text, where); counts {
				f.end = at
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("at byte %d: %w", at, err)
		}
	}
}

// read opens the record that begins at a place.
func (f *file) read(at int64) (text []byte, size int, err error) {
	var length [4]byte
	if n, err := f.disk.ReadAt(length[:], at); err != nil {
		if n > 0 && errors.Is(err, io.EOF) {
			err = errTorn
		}
		return nil, 0, err
	}
	size = int(binary.BigEndian.Uint32(length[:]))
	if info, err := f.disk.Stat(); err != nil || size > maxRecord || at+4+int64(size) > info.Size() {
		return nil, 0, errors.Join(err, errTorn)
	}
	record := make([]byte, size)
	if _, err := f.disk.ReadAt(record, at+4); err != nil {
		return nil, 0, err
	}
	text, err = f.seal.open(record, at)
	return text, size, err
}

// append writes records behind the end, all or none, and has them on disk when it returns.
func (f *file) append(texts [][]byte) ([]spot, error) {
	var all []byte
	spots := make([]spot, 0, len(texts))
	for _, text := range texts {
		at := f.end + int64(len(all))
		record := f.seal.seal(text, at)
		all = append(binary.BigEndian.AppendUint32(all, uint32(len(record))), record...)
		spots = append(spots, spot{at, len(record)})
	}
	if _, err := f.disk.WriteAt(all, f.end); err != nil {
		return nil, errors.Join(err, f.disk.Truncate(f.end))
	}
	if err := f.disk.Sync(); err != nil {
		return nil, errors.Join(err, f.disk.Truncate(f.end))
	}
	f.end += int64(len(all))
	return spots, nil
}

// cut removes what does not count.
func (f *file) cut() error { return f.disk.Truncate(f.end) }

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
