package dump

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/skerry-io/skerry/datastore/engine"
)

// ErrDamaged says that a file is not what was written.
var ErrDamaged = errors.New("the file is damaged")

// longest bounds a key or value, in bytes, so that a damaged length does not take all memory.
const longest = 64 << 20

// more stands before each record, and end after the last.
const (
	more = 1
	end  = 0
)

func table() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Write writes a line that says what it is, the state, all records that each hands over, their number and a checksum.
func Write(w io.Writer, kind string, state engine.State, all func(each func(engine.Record) error) error) error {
	sum := crc32.New(table())
	both := io.MultiWriter(w, sum)
	if _, err := io.WriteString(both, kind+"\n"); err != nil {
		return err
	}
	if err := numbers(both, state.Revision, state.Compacted, state.Limit); err != nil {
		return err
	}
	count := int64(0)
	if err := all(func(r engine.Record) error {
		count++
		return write(both, &r)
	}); err != nil {
		return err
	}
	if err := numbers(both, end, count); err != nil {
		return err
	}
	return binary.Write(w, binary.LittleEndian, sum.Sum32())
}

func numbers(w io.Writer, all ...int64) error {
	buffer := make([]byte, 0, 10*binary.MaxVarintLen64)
	for _, n := range all {
		buffer = binary.AppendVarint(buffer, n)
	}
	_, err := w.Write(buffer)
	return err
}

func write(w io.Writer, r *engine.Record) error {
	if err := numbers(w, more, r.Revision, r.Created, r.Version, r.Lease, r.Expires, int64(len(r.Key)), int64(len(r.Value))); err != nil {
		return err
	}
	if _, err := io.WriteString(w, r.Key); err != nil {
		return err
	}
	_, err := w.Write(r.Value)
	return err
}

// Read reads what Write wrote. Nothing that each was given counts before Read has returned without an error.
func Read(from io.Reader, kind string, each func(engine.Record) error) (state engine.State, err error) {
	r := &reader{Reader: bufio.NewReader(from)}
	head := make([]byte, len(kind)+1)
	if _, err := io.ReadFull(r, head); err != nil || string(head) != kind+"\n" {
		return state, fmt.Errorf("%w: it does not begin with %q", ErrDamaged, kind)
	}
	var n [3]int64
	if err := r.numbers(n[:]); err != nil {
		return state, err
	}
	state = engine.State{Revision: n[0], Compacted: n[1], Limit: n[2], Clean: true}
	count := int64(0)
	for {
		record, there, err := r.record()
		if err != nil {
			return state, err
		}
		if !there {
			return state, r.finish(count)
		}
		count++
		if err := each(record); err != nil {
			return state, err
		}
	}
}

// reader sums up what it reads.
type reader struct {
	*bufio.Reader
	sum uint32
}

// Read is io.Reader's.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.sum = crc32.Update(r.sum, table(), p[:n])
	return n, err
}

// ReadByte is for the numbers.
func (r *reader) ReadByte() (byte, error) {
	b, err := r.Reader.ReadByte()
	if err == nil {
		r.sum = crc32.Update(r.sum, table(), []byte{b})
	}
	return b, err
}

func (r *reader) numbers(to []int64) (err error) {
	for i := range to {
		if to[i], err = binary.ReadVarint(r); err != nil {
			return fmt.Errorf("%w: it ends too early", ErrDamaged)
		}
	}
	return nil
}

func (r *reader) record() (record engine.Record, there bool, err error) {
	var mark [1]int64
	if err := r.numbers(mark[:]); err != nil || mark[0] == end {
		return record, false, err
	}
	var n [7]int64
	if err := r.numbers(n[:]); err != nil {
		return record, false, err
	}
	if n[5] < 0 || n[6] < 0 || n[5] > longest || n[6] > longest {
		return record, false, fmt.Errorf("%w: a record has a wrong length", ErrDamaged)
	}
	data := make([]byte, n[5]+n[6])
	if _, err := io.ReadFull(r, data); err != nil {
		return record, false, fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	return engine.Record{Revision: n[0], Created: n[1], Version: n[2], Lease: n[3], Expires: n[4],
		Key: string(data[:n[5]]), Value: data[n[5]:]}, true, nil
}

// finish checks what stands behind the last record.
func (r *reader) finish(count int64) error {
	var wanted [1]int64
	if err := r.numbers(wanted[:]); err != nil {
		return err
	}
	want, sum := r.sum, uint32(0)
	if err := binary.Read(r.Reader, binary.LittleEndian, &sum); err != nil || sum != want || wanted[0] != count {
		return fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	return nil
}
