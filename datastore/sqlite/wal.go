package sqlite

import (
	"bufio"
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

// CheckLog says whether a write-ahead log is damaged in its middle: then SQLite would silently take only what is before
// the damage. What a power cut leaves is fine: the last transaction may be cut off, because it was not answered. A log
// that is not there is fine.
func CheckLog(database string) error {
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
	case f.ours && i == t.broken+1 && !t.before.ends() && f.page <= t.before.page:
		t.ends++ // a transaction writes its pages in order: one ended here, and its last frame does not say so any more
	}
	if f.ends() {
		t.ends++
	}
}

// frame is what a frame of a log says of itself.
type frame struct {
	page   uint32
	ours   bool // it was written since the log was begun anew
	commit bool // it is the last of a transaction
	good   bool // it is whole, and so is all before it
}

func (f frame) ends() bool { return f.ours && f.commit }

// walReader reads a log frame by frame.
type walReader struct {
	from  *bufio.Reader
	order binary.ByteOrder
	salt  [8]byte
	sum   [2]uint32
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
	w.add(head[:24])
	if w.sum[0] != binary.BigEndian.Uint32(head[24:]) || w.sum[1] != binary.BigEndian.Uint32(head[28:]) {
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
	w.add(head[:8])
	w.add(w.page)
	f.good = f.ours && w.sum[0] == binary.BigEndian.Uint32(head[16:]) && w.sum[1] == binary.BigEndian.Uint32(head[20:])
	return f, nil
}

// add is SQLite's checksum, over pairs of words.
func (w *walReader) add(data []byte) {
	a, b := w.sum[0], w.sum[1]
	for i := 0; i+8 <= len(data); i += 8 {
		a += w.order.Uint32(data[i:]) + b
		b += w.order.Uint32(data[i+4:]) + a
	}
	w.sum = [2]uint32{a, b}
}
