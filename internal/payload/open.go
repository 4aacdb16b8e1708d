package payload

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// The trailer is the last thing of the archive and so of the program: magic, the length of the index before it, and its sum.
const (
	magic       = "SKERRYP1"
	trailerSize = len(magic) + 8 + sha256.Size
	maxIndex    = 1 << 20
)

// ErrNone says that a file carries no archive.
var ErrNone = errors.New("no payload at its end")

// Payload is an archive that is open for reading.
type Payload struct {
	from  *os.File
	start int64 // where the first frame begins
	id    string
	index index
}

// Open finds the archive at the end of the file at path. Errors wrap ErrNone when there is none.
func Open(path string) (*Payload, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	p, err := read(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// Close lets go of the file.
func (p *Payload) Close() error { return p.from.Close() }

// ID names the content: two archives with the same programs have the same one. It is fit to be a directory's name.
func (p *Payload) ID() string { return p.id }

// Size is what the programs occupy once unpacked, in bytes, but for those that wait until they are asked for.
func (p *Payload) Size() (total int64) {
	for _, f := range p.index.files {
		if !f.later {
			total += f.size
		}
	}
	return total
}

func read(f *os.File) (*Payload, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	end := info.Size() - int64(trailerSize)
	if end < 0 {
		return nil, ErrNone
	}
	trailer := make([]byte, trailerSize)
	if _, err := f.ReadAt(trailer, end); err != nil {
		return nil, err
	}
	if string(trailer[:len(magic)]) != magic {
		return nil, ErrNone
	}
	length, sum := int64(binary.LittleEndian.Uint64(trailer[len(magic):])), trailer[len(magic)+8:]
	if length < 0 || length > maxIndex || length > end {
		return nil, errors.New("the payload's trailer is damaged")
	}
	text := make([]byte, length)
	if _, err := f.ReadAt(text, end-length); err != nil {
		return nil, err
	}
	if sha256.Sum256(text) != [sha256.Size]byte(sum) {
		return nil, errors.New("the payload's index is damaged")
	}
	x, err := parseIndex(text)
	if err != nil {
		return nil, err
	}
	start := end - length - x.packedSize()
	if start < 0 {
		return nil, errors.New("the payload is truncated")
	}
	return &Payload{from: f, start: start, id: hex.EncodeToString(sum[:16]), index: x}, nil
}

// writeTrailer ends an archive with the given index.
func writeTrailer(w io.Writer, text []byte) error {
	sum := sha256.Sum256(text)
	b := append([]byte{}, magic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(text)))
	_, err := w.Write(append(b, sum[:]...))
	return err
}
