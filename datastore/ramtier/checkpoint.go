package ramtier

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"

	"github.com/skerry-io/skerry/datastore/durable"
	"github.com/skerry-io/skerry/datastore/engine"
)

// magic opens a checkpoint, and says how it is laid out.
const magic = "skerry short-lived keys 1\n"

// longest bounds a key or value in a checkpoint, in bytes, so that a damaged length does not take all memory.
const longest = 64 << 20

// errDamaged says that a checkpoint is not what was written.
var errDamaged = errors.New("the checkpoint is damaged")

// Save writes down all records: magic, the state, each record, and a checksum over all of that.
func (t *Tier) Save(state engine.State, records []engine.Record) error {
	err := durable.Write(t.path, func(file io.Writer) error {
		sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
		w := io.MultiWriter(file, sum)
		if _, err := io.WriteString(w, magic); err != nil {
			return err
		}
		if err := numbers(w, state.Revision, state.Compacted, int64(len(records))); err != nil {
			return err
		}
		for i := range records {
			if err := write(w, &records[i]); err != nil {
				return err
			}
		}
		t.at("ramtier/filled")
		return binary.Write(file, binary.LittleEndian, sum.Sum32())
	})
	t.at("ramtier/saved")
	return err
}

func numbers(w io.Writer, all ...int64) error {
	var buffer []byte
	for _, n := range all {
		buffer = binary.AppendVarint(buffer, n)
	}
	_, err := w.Write(buffer)
	return err
}

func write(w io.Writer, r *engine.Record) error {
	if err := numbers(w, r.Revision, r.Created, r.Version, r.Lease, r.Expires, int64(len(r.Key)), int64(len(r.Value))); err != nil {
		return err
	}
	if _, err := io.WriteString(w, r.Key); err != nil {
		return err
	}
	_, err := w.Write(r.Value)
	return err
}

// Load gives what the last run wrote down, and takes the file away. One that is damaged is moved aside, and counts as none.
func (t *Tier) Load(each func(engine.Record) error) (engine.State, error) {
	state, records, err := read(t.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return engine.State{}, nil
	case errors.Is(err, errDamaged):
		aside := fmt.Sprintf("%s.damaged-%s", t.path, time.Now().UTC().Format("20060102-150405"))
		t.log.Error("leases and events are lost: what the last run wrote down is damaged", "file", t.path, "kept as", aside)
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

// counted sums up what is read.
type counted struct {
	*bufio.Reader
	sum uint32
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.sum = crc32.Update(c.sum, crc32.MakeTable(crc32.Castagnoli), p[:n])
	return n, err
}

// ReadByte is for the numbers.
func (c *counted) ReadByte() (byte, error) {
	b, err := c.Reader.ReadByte()
	if err == nil {
		c.sum = crc32.Update(c.sum, crc32.MakeTable(crc32.Castagnoli), []byte{b})
	}
	return b, err
}

func read(path string) (state engine.State, records []engine.Record, err error) {
	f, err := os.Open(path)
	if err != nil {
		return state, nil, err
	}
	defer f.Close()
	r := &counted{Reader: bufio.NewReader(f)}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != magic {
		return state, nil, fmt.Errorf("%w: it does not begin as one", errDamaged)
	}
	var first [3]int64
	if err := r.numbers(first[:]); err != nil {
		return state, nil, err
	}
	state = engine.State{Revision: first[0], Compacted: first[1], Clean: true}
	for range first[2] {
		record, err := r.record()
		if err != nil {
			return state, nil, err
		}
		records = append(records, record)
	}
	want := r.sum
	var sum uint32
	if err := binary.Read(r.Reader, binary.LittleEndian, &sum); err != nil || sum != want {
		return state, nil, fmt.Errorf("%w: its checksum is wrong", errDamaged)
	}
	return state, records, nil
}

func (c *counted) numbers(to []int64) (err error) {
	for i := range to {
		if to[i], err = binary.ReadVarint(c); err != nil {
			return fmt.Errorf("%w: it ends too early", errDamaged)
		}
	}
	return nil
}

func (c *counted) record() (r engine.Record, err error) {
	var n [7]int64
	if err := c.numbers(n[:]); err != nil {
		return r, err
	}
	if n[5] < 0 || n[6] < 0 || n[5] > longest || n[6] > longest {
		return r, fmt.Errorf("%w: a record has a wrong length", errDamaged)
	}
	data := make([]byte, n[5]+n[6])
	if _, err := io.ReadFull(c, data); err != nil {
		return r, fmt.Errorf("%w: it ends too early", errDamaged)
	}
	return engine.Record{Revision: n[0], Created: n[1], Version: n[2], Lease: n[3], Expires: n[4],
		Key: string(data[:n[5]]), Value: data[n[5]:]}, nil
}
