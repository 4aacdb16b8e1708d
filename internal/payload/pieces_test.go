package payload

import (
	"bytes"
	"testing"
)

// paper keeps what is written, and the largest piece.
type paper struct {
	content []byte
	largest int
}

func (p *paper) WriteAt(b []byte, at int64) (int, error) {
	p.largest = max(p.largest, len(b))
	return copy(p.content[at:], b), nil
}

func TestProgramsAreWrittenInPieces(t *testing.T) {
	const at = 5000 // as a frame begins in the middle of a file
	want := bytes.Repeat([]byte("0123456789"), pieceSize/4)
	p := &paper{content: make([]byte, at+len(want))}
	if err := inPieces(p, want, at); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p.content[at:], want) {
		t.Error("something else was written")
	}
	if p.largest > pieceSize {
		t.Errorf("%d bytes were written at once", p.largest)
	}
}
