package sqlite

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// The layout of a write-ahead log, from SQLite's file format: a header, then frames of a header and a page each.
const (
	walMagic      = 0x377f0682 // with bit 0 set, checksums are over big-endian words
	walHeaderSize = 32
	frameHeader   = 24
)

// CheckLog says whether what is not in a database yet is damaged in its middle, and which file it is: SQLite would silently take only
// what is before the damage of a write-ahead log, and Open what is before that of the latest changes. What a power cut leaves is fine: the
// last transaction may be cut off, because it was not answered. A file that is not there is fine.
func CheckLog(ctx context.Context, database string) (file string, err error) {
	if err := checkWAL(database); err != nil {
		return database + "-wal", err
	}
	if _, err := os.Stat(database + latestFile); err != nil {
		return "", nil
	}
	var stored stamp
	see := func(_ *sql.DB, is stamp) error {
		stored = is
		return nil
	}
	if look(ctx, database, see) != nil {
		return "", nil // a database that cannot be read is for Open to tell
	}
	_, _, err = latest(database, stored)
	return database + latestFile, err
}

func checkWAL(database string) error {
	f, err := os.Open(database + "-wal")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	w := walReader{from: bufio.NewReaderSize(f, 64<<10)}
	if whole, err := w.begin(); err != nil || !whole {
		return err
	}
	var t tail
	for i := 1; ; i++ {
		f, err := w.frame()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if t.add(i, f); t.ends > 1 { // the first was synced before the second was written
			return fmt.Errorf("%w: frame %d of the write-ahead log is not what was written, and later ones are of whole transactions", ErrDamaged, t.broken)
		}
	}
}

// tail is what stands in a log from the first frame that is not good.
type tail struct {
	broken int // that frame's number, from 1
	ends   int // of transactions, from there on
	before frame
}

func (t *tail) add(i int, f frame) {
	if t.broken == 0 && f.good {
		return
	}
	switch {
	case t.broken == 0:
		t.broken, t.before = i, f
	case !f.follows: // it may be of a commit that was refused, and another one begun in its place: that leaves one end behind each such break
		t.ends = 0
	case f.ours && i == t.broken+1 && !t.before.ends() && f.page <= t.before.page:
		t.ends++ // a transaction writes its pages in order: one ended here, and its last frame does not say so any more
	}
	if f.ends() {
		t.ends++
	}
}

// frame is what a frame of a log says of itself.
type frame struct {
	page    uint32
	ours    bool // it was written since the log was begun anew
	commit  bool // it is the last of a transaction
	follows bool // it was written behind the one before it, if that or its checksum is what was written
	good    bool // it is whole, and so is all before it
}

func (f frame) ends() bool { return f.ours && f.commit }

// walReader reads a log frame by frame.
type walReader struct {
	from  *bufio.Reader
	order binary.ByteOrder
	salt  [8]byte
	sum   sum // of what was read
	said  sum // what the last frame says that it is
	page  []byte
}

// begin reads the header, and says whether there is one: without it the log is empty to SQLite.
func (w *walReader) begin() (bool, error) {
	head := make([]byte, walHeaderSize)
	switch _, err := io.ReadFull(w.from, head); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return false, nil
	case err != nil:
		return false, err
	}
	magic, size := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[8:])
	if magic&^1 != walMagic || size < 512 || size > 65536 {
		return false, fmt.Errorf("%w: the write-ahead log does not begin as one", ErrDamaged)
	}
	w.order = binary.LittleEndian
	if magic&1 != 0 {
		w.order = binary.BigEndian
	}
	w.sum, w.said = w.sum.add(w.order, head[:24]), sumIn(head[24:])
	if w.sum != w.said {
		return false, fmt.Errorf("%w: the head of the write-ahead log has a wrong checksum", ErrDamaged)
	}
	copy(w.salt[:], head[16:24])
	w.page = make([]byte, size)
	return true, nil
}

// frame reads the next one.
func (w *walReader) frame() (f frame, err error) {
	head := make([]byte, frameHeader)
	if _, err := io.ReadFull(w.from, head); err != nil {
		return f, err
	}
	if _, err := io.ReadFull(w.from, w.page); err != nil {
		return f, err
	}
	f.page = binary.BigEndian.Uint32(head)
	f.ours = string(head[8:16]) == string(w.salt[:])
	f.commit = binary.BigEndian.Uint32(head[4:]) != 0
	said, former := sumIn(head[16:]), w.said
	w.sum, w.said = w.sum.add(w.order, head[:8]).add(w.order, w.page), said
	f.good = f.ours && w.sum == said
	if f.follows = w.sum == said || former.add(w.order, head[:8]).add(w.order, w.page) == said; f.follows {
		w.sum = said
	}
	return f, nil
}

// sum is SQLite's checksum, over pairs of words and all that was before them.
type sum [2]uint32

func sumIn(text []byte) sum {
	return sum{binary.BigEndian.Uint32(text), binary.BigEndian.Uint32(text[4:])}
}

func (s sum) add(order binary.ByteOrder, data []byte) sum {
	a, b := s[0], s[1]
	for i := 0; i+8 <= len(data); i += 8 {
		a += order.Uint32(data[i:]) + b
		b += order.Uint32(data[i+4:]) + a
	}
	return sum{a, b}
}
