package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/skerry-io/skerry/datastore/dump"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/export"
)

const (
	// longestText bounds the manifest and the summary, longestFile one file, longestChunk an entry of records, in bytes: a length
	// that is declared must not take all memory.
	longestText  = 1 << 20
	longestFile  = 32 << 20
	longestChunk = 16 << 20
	// mostFiles bounds all files together, in bytes.
	mostFiles = 64 << 20
)

// Sink takes what is read. Nothing of it counts before Read has returned without an error. Fields may be nil.
type Sink struct {
	Manifest func(Manifest) error
	File     func(File) error
	Record   func(engine.Record) error
}

// Read reads a backup to its end, and checks all of it.
func Read(from io.Reader, key *Key, to Sink) (m Manifest, s Summary, err error) {
	source := &watched{Reader: from}
	defer func() {
		if source.err != nil { // the place it lies at, not the backup
			err = fmt.Errorf("read the backup: %w", source.err)
		}
	}()
	opened, err := key.open(source)
	if err != nil {
		return m, s, err
	}
	unpacked, err := zstd.NewReader(opened, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderLowmem(true))
	if err != nil {
		return m, s, wrong("%v", err)
	}
	defer unpacked.Close()
	r := &reader{tar: tar.NewReader(unpacked), to: to, digest: export.NewDigest(), names: sha256.New()}
	if err := r.all(); err != nil {
		return r.manifest, s, err
	}
	if n, err := io.Copy(io.Discard, unpacked); err != nil || n > 0 { // the end is what tells that nothing is missing
		return r.manifest, s, wrong("%d bytes are behind its end: %v", n, err)
	}
	return r.manifest, r.summary, nil
}

// watched remembers why it could not be read.
type watched struct {
	io.Reader
	err error
}

// Read is io.Reader's.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		w.err = err
	}
	return n, err
}

type reader struct {
	tar      *tar.Reader
	to       Sink
	manifest Manifest
	summary  Summary
	ended    bool
	chunks   int
	files    int
	weight   int64
	digest   *export.Digest
	names    hash.Hash
}

// taking is an error of who takes what is read, which says nothing about the backup.
type taking struct{ error }

func (t taking) Unwrap() error { return t.error }

func (r *reader) all() error {
	for first := true; ; first = false {
		header, err := r.tar.Next()
		if errors.Is(err, io.EOF) {
			return r.compare()
		}
		if err == nil {
			err = r.entry(header, first)
		}
		var theirs taking
		if errors.As(err, &theirs) {
			return theirs.error
		}
		if err != nil {
			return told(err)
		}
	}
}

// told is an error that says so already, or one that does not yet.
func told(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return wrong("%v", err)
}

func (r *reader) entry(header *tar.Header, first bool) error {
	switch name := header.Name; {
	case header.Typeflag != tar.TypeReg || r.ended:
		return wrong("%q is in the wrong place", name)
	case first != (name == manifestName):
		return wrong("it begins with %q", name)
	case first:
		if err := r.json(header, &r.manifest); err != nil {
			return err
		}
		if err := r.manifest.check(); err != nil {
			return taking{err}
		}
		return hand(r.to.Manifest, r.manifest)
	case name == summaryName:
		r.ended = true
		return r.json(header, &r.summary)
	case strings.HasPrefix(name, filesPrefix):
		return r.file(header)
	case strings.HasPrefix(name, keysPrefix):
		return r.records(header)
	default:
		return wrong("it holds %q", name)
	}
}

func hand[T any](to func(T) error, v T) error {
	if to == nil {
		return nil
	}
	if err := to(v); err != nil {
		return taking{err}
	}
	return nil
}

// data reads an entry that may have at most that many bytes.
func (r *reader) data(header *tar.Header, longest int64) ([]byte, error) {
	if header.Size < 0 || header.Size > longest {
		return nil, wrong("%q has %d bytes", header.Name, header.Size)
	}
	return io.ReadAll(r.tar)
}

func (r *reader) json(header *tar.Header, to any) error {
	data, err := r.data(header, longestText)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, to)
}

func (r *reader) file(header *tar.Header) error {
	f := File{Name: strings.TrimPrefix(header.Name, filesPrefix), Mode: fs.FileMode(header.Mode).Perm()}
	if err := checkName(f.Name); err != nil {
		return err
	}
	if r.weight += header.Size; r.weight > mostFiles {
		return wrong("its files have %d bytes", r.weight)
	}
	var err error
	if f.Data, err = r.data(header, longestFile); err != nil {
		return err
	}
	note(r.names, f)
	r.files++
	return hand(r.to.File, f)
}

func (r *reader) records(header *tar.Header) error {
	if r.chunks++; header.Name != fmt.Sprintf("%s%08d", keysPrefix, r.chunks) {
		return wrong("%q stands where the %dth part of the keys should", header.Name, r.chunks)
	}
	if header.Size > longestChunk {
		return wrong("%q has %d bytes", header.Name, header.Size)
	}
	state, err := dump.Read(r.tar, kind, func(record engine.Record) error {
		r.digest.Add(record)
		return hand(r.to.Record, record)
	})
	if err == nil && state.Revision != r.manifest.Revision {
		return wrong("%q is of revision %d", header.Name, state.Revision)
	}
	return err
}

// compare holds what was read against what the summary says.
func (r *reader) compare() error {
	found := Summary{Keys: r.digest.Keys, Bytes: r.digest.Bytes, Files: r.files, Digest: r.digest.String(), Names: hex.EncodeToString(r.names.Sum(nil))}
	switch {
	case !r.ended:
		return wrong("it ends too early")
	case found != r.summary:
		return wrong("it holds %d keys and %d files, and says that it has %d and %d, or their digest is another", found.Keys, found.Files, r.summary.Keys, r.summary.Files)
	}
	return nil
}
