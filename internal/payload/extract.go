package payload

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// maxWorkers bounds the memory of unpacking: each worker holds one frame, packed and raw.
const maxWorkers = 4

var errDamaged = errors.New("the payload is damaged: a checksum does not match")

// extract unpacks the files that open gives a place for; open returns nil for one that is not wanted.
// Frames are unpacked in parallel, so the places are written out of order.
func (p *Payload) extract(open func(file) (io.WriterAt, error)) error {
	places := make([]io.WriterAt, len(p.index.files))
	for i, f := range p.index.files {
		place, err := open(f)
		if err != nil {
			return err
		}
		places[i] = place
	}
	var (
		next     atomic.Int64
		workers  sync.WaitGroup
		failures = make(chan error, maxWorkers) // one for each worker
		offsets  = p.frameOffsets()
	)
	for range min(maxWorkers, runtime.GOMAXPROCS(0), len(offsets)) {
		workers.Go(func() {
			if err := p.work(&next, offsets, places); err != nil {
				next.Store(int64(len(offsets))) // the others stop after the frame they are at
				failures <- err
			}
		})
	}
	workers.Wait()
	close(failures)
	return <-failures
}

// extractOne unpacks the file of that name. Errors wrap fs.ErrNotExist when there is none.
func (p *Payload) extractOne(name string, to io.WriterAt) error {
	if _, err := p.index.find(name); err != nil {
		return err
	}
	return p.extract(func(f file) (io.WriterAt, error) {
		if f.name != name {
			return nil, nil
		}
		return to, nil
	})
}

// offset says where a frame begins, in the archive and in the content of all files.
type offset struct{ packed, raw int64 }

func (p *Payload) frameOffsets() []offset {
	offsets := make([]offset, len(p.index.frames))
	at := offset{packed: p.start}
	for i, f := range p.index.frames {
		offsets[i] = at
		at.packed += f.packed
		at.raw += f.raw
	}
	return offsets
}

// work unpacks frames until none is left.
func (p *Payload) work(next *atomic.Int64, offsets []offset, places []io.WriterAt) error {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFrame))
	if err != nil {
		return err
	}
	defer d.Close()
	var packed, raw []byte
	for {
		i := int(next.Add(1)) - 1
		if i >= len(offsets) {
			return nil
		}
		f := p.index.frames[i]
		if !p.wanted(offsets[i].raw, f.raw, places) {
			continue
		}
		packed = grow(packed, f.packed)
		if _, err := p.from.ReadAt(packed, offsets[i].packed); err != nil {
			return fmt.Errorf("read the payload: %w", err)
		}
		if sha256.Sum256(packed) != f.sum {
			return errDamaged
		}
		if raw, err = d.DecodeAll(packed, grow(raw, f.raw)[:0]); err != nil {
			return fmt.Errorf("%w (%w)", errDamaged, err)
		}
		if int64(len(raw)) != f.raw {
			return errDamaged
		}
		if rewrite := callsOf(f.calls); rewrite != nil {
			p.index.rewrite(raw, offsets[i].raw, -1, rewrite)
		}
		if err := p.scatter(raw, offsets[i].raw, places); err != nil {
			return err
		}
	}
}

// wanted tells whether any place takes a part of the content from at on.
func (p *Payload) wanted(at, length int64, places []io.WriterAt) bool {
	for part := range p.index.parts(at, length) {
		if places[part.file] != nil {
			return true
		}
	}
	return false
}

// scatter writes a piece of the content, which begins at the given offset, to the files it belongs to.
func (p *Payload) scatter(raw []byte, at int64, places []io.WriterAt) error {
	for part := range p.index.parts(at, int64(len(raw))) {
		if places[part.file] == nil {
			continue
		}
		if err := inPieces(places[part.file], raw[part.from-at:part.to-at], part.from-part.begin); err != nil {
			return err
		}
	}
	return nil
}

// pieceSize is how much of a file is written at once. The kernel keeps what is written in folios as large as the write was,
// and maps a program by whole folios: written in megabytes, nearly all of a large program is resident once it has run,
// and stays so.
const pieceSize = 16 << 10

func inPieces(w io.WriterAt, content []byte, at int64) error {
	for len(content) > 0 {
		n := min(int64(len(content)), pieceSize-at%pieceSize)
		if _, err := w.WriteAt(content[:n], at); err != nil {
			return err
		}
		content, at = content[n:], at+n
	}
	return nil
}

// grow gives a buffer of the wanted length, the old one where it is large enough.
func grow(b []byte, length int64) []byte {
	if int64(cap(b)) < length {
		return make([]byte, length)
	}
	return b[:length]
}
