package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/skerry-io/skerry/datastore/dump"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/export"
)

const (
	// chunk is about how much of the records one entry of the tar holds, in bytes.
	chunk = 1 << 20
	// kind opens each of them.
	kind = "skerry backup keys 1"
	// window is how far back the compression looks, in bytes; more takes more memory.
	window = 1 << 20
)

// Contents is what goes into a backup.
type Contents struct {
	Manifest Manifest
	Files    []File
	// Records hands over all records as they were at Manifest.Revision.
	Records func(each func(engine.Record) error) error
}

// Write writes a backup. When it fails, what was written cannot be taken for a whole one.
func Write(to io.Writer, seal *Seal, c Contents) (summary Summary, err error) {
	sealed, err := age.Encrypt(to, seal.recipients...)
	if err != nil {
		return summary, fmt.Errorf("seal the backup: %w", err)
	}
	packed, err := zstd.NewWriter(sealed, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return summary, err
	}
	w := &writer{tar: tar.NewWriter(packed), made: c.Manifest.Made, state: engine.State{Revision: c.Manifest.Revision},
		digest: export.NewDigest(), names: sha256.New()}
	if err := w.fill(c); err != nil {
		return summary, err // what was sealed has no end, by which it is known
	}
	if err := errors.Join(w.tar.Close(), packed.Close()); err != nil {
		return summary, err
	}
	return w.summary, sealed.Close()
}

type writer struct {
	tar     *tar.Writer
	made    time.Time
	state   engine.State
	pending []engine.Record
	size    int // of pending, in bytes
	chunks  int
	digest  *export.Digest
	names   hash.Hash
	summary Summary
}

func (w *writer) fill(c Contents) error {
	c.Manifest.Format = Format
	if err := w.json(manifestName, c.Manifest); err != nil {
		return err
	}
	for _, f := range c.Files {
		if err := checkName(f.Name); err != nil {
			return err
		}
		if err := w.entry(filesPrefix+f.Name, f.Mode, f.Data); err != nil {
			return err
		}
		note(w.names, f)
		w.summary.Files++
	}
	if err := c.Records(w.record); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.summary.Keys, w.summary.Bytes, w.summary.Digest = w.digest.Keys, w.digest.Bytes, w.digest.String()
	w.summary.Names = hex.EncodeToString(w.names.Sum(nil))
	return w.json(summaryName, w.summary)
}

// note takes a file into the digest of all of them.
func note(sum hash.Hash, f File) {
	head := binary.AppendUvarint(nil, uint64(len(f.Name)))
	head = append(head, f.Name...)
	head = binary.AppendUvarint(binary.AppendUvarint(head, uint64(f.Mode.Perm())), uint64(len(f.Data)))
	sum.Write(head)
	sum.Write(f.Data)
}

func (w *writer) record(r engine.Record) error {
	w.digest.Add(r)
	w.pending, w.size = append(w.pending, r), w.size+r.Size()
	if w.size < chunk {
		return nil
	}
	return w.flush()
}

// flush writes the records that wait as one entry: a tar has to know how long it is.
func (w *writer) flush() error {
	if len(w.pending) == 0 {
		return nil
	}
	var text bytes.Buffer
	text.Grow(w.size)
	err := dump.Write(&text, kind, w.state, func(each func(engine.Record) error) error {
		for _, r := range w.pending {
			if err := each(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.chunks++
	w.pending, w.size = w.pending[:0], 0
	return w.entry(fmt.Sprintf("%s%08d", keysPrefix, w.chunks), 0o600, text.Bytes())
}

func (w *writer) json(name string, v any) error {
	data, err := text(v)
	if err != nil {
		return err
	}
	return w.entry(name, 0o600, data)
}

func (w *writer) entry(name string, mode fs.FileMode, data []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(mode.Perm()), Size: int64(len(data)), ModTime: w.made, Format: tar.FormatPAX}
	if err := w.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.tar.Write(data)
	return err
}
