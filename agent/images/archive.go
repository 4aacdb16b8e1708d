package images

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory that unpacking zstd takes; zstd itself refuses more unless told otherwise.
const maxWindow = 128 << 20

// archive is an open archive file. Reading gives the tar stream in it, unpacked.
type archive struct {
	ctx  context.Context
	file *os.File
	raw  *bufio.Reader // the file, hashed as it is read
	sum  hash.Hash
	tar  io.Reader
	free func()
	err  error // first failure of reading the tar stream
	dry  bool  // a reader wanted more than there was: of a tar, it did not meet the end mark
}

// openArchive opens a file and finds out by its first bytes how it is compressed.
func openArchive(ctx context.Context, path string) (*archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	a := &archive{ctx: ctx, file: f, sum: sha256.New(), free: func() {}}
	a.raw = bufio.NewReaderSize(io.TeeReader(f, a.sum), 256<<10)
	if a.tar, err = a.unpacked(); err != nil {
		f.Close()
		return nil, err
	}
	return a, nil
}

func (a *archive) unpacked() (io.Reader, error) {
	start, err := a.raw.Peek(8)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if len(start) == 0 {
		return nil, &flaw{why: "the file is empty", cure: copyAgain, cut: true}
	}
	switch name := compression(start); name {
	case "":
		return a.raw, nil
	case "gzip":
		r, err := gzip.NewReader(a.raw)
		if err != nil {
			return nil, badStream(err)
		}
		a.free = func() { r.Close() }
		return r, nil
	case "zstd":
		r, err := zstd.NewReader(a.raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, badStream(err)
		}
		a.free = r.Close
		return r, nil
	default:
		return nil, &flaw{why: "the archive is compressed with " + name, cure: "pack it as .tar, .tar.gz or .tar.zst"}
	}
}

// compression names how a file that starts like this is compressed, "" for not at all.
func compression(start []byte) string {
	for _, known := range []struct{ name, magic string }{
		{"gzip", "\x1f\x8b"},
		{"zstd", "\x28\xb5\x2f\xfd"},
		{"xz", "\xfd7zXZ\x00"},
		{"bzip2", "BZh"},
		{"lz4", "\x04\x22\x4d\x18"},
		{"zip", "PK\x03\x04"},
		{"7-zip", "7z\xbc\xaf\x27\x1c"},
	} {
		if bytes.HasPrefix(start, []byte(known.magic)) {
			return known.name
		}
	}
	return ""
}

// Read gives the next piece of the tar stream.
func (a *archive) Read(p []byte) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := a.tar.Read(p)
	a.dry = a.dry || n == 0 && err == io.EOF
	if err != nil && err != io.EOF && a.err == nil {
		a.err = err
	}
	return n, err
}

// finish reads on to the end of the file, so that checksums at the end count too, and gives the SHA-256 of the file.
func (a *archive) finish() (string, error) {
	_, err := io.Copy(io.Discard, a)
	if err != nil && !errors.Is(err, gzip.ErrHeader) && !errors.Is(err, zstd.ErrMagicMismatch) { // those two are padding
		return "", err
	}
	if _, err := io.Copy(io.Discard, a.raw); err != nil {
		return "", err
	}
	return hex.EncodeToString(a.sum.Sum(nil)), nil
}

// blame turns an error of an import into a flaw when the archive's stream is its cause.
func (a *archive) blame(err error) error {
	if a.ctx.Err() != nil {
		return err
	}
	var path *fs.PathError
	if errors.As(a.err, &path) {
		return a.err // the disk cannot be read: not the archive's fault
	}
	if a.err != nil {
		return badStream(a.err)
	}
	var known *flaw
	if errors.As(err, &known) && known.missing && a.dry {
		return truncated(err)
	}
	return err
}

func (a *archive) Close() error {
	a.free()
	return a.file.Close()
}

// badStream names what is wrong with a stream of bytes.
func badStream(err error) error {
	var known *flaw
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return truncated(err)
	case errors.Is(err, tar.ErrHeader):
		return &flaw{why: "the file is not a tar archive", cure: "save the image with `docker save` or as an OCI archive", cause: err}
	}
	return &flaw{why: "the archive is damaged", cure: copyAgain, cause: err}
}

// hashFile gives the SHA-256 of a file.
func hashFile(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	a := &archive{ctx: ctx, tar: f}
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, a, make([]byte, 256<<10)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
