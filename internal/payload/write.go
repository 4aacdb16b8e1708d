package payload

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Compress turns one piece of content into one zstd frame. It is called for several pieces at once.
type Compress func(piece []byte) ([]byte, error)

// Packing is how an archive is made.
type Packing struct {
	Compress  Compress
	Later     []string // programs that are unpacked when they are asked for, by Store.Add
	Processor string   // whose programs these are, by GOARCH: calls are rewritten so that they compress better
	// frame is the size of what is compressed by itself: it balances what is lost because one frame does not know the others
	// against the memory and the parallel work of unpacking.
	frame int
}

const frameSize = 16 << 20

// Write makes an archive of everything below dir and appends it to w. The same tree always gives the same bytes.
func (k Packing) Write(w io.Writer, dir string) error {
	k.frame = frameSize
	return k.write(w, dir)
}

func (k Packing) write(w io.Writer, dir string) error {
	x, err := scan(dir)
	if err != nil {
		return err
	}
	for i, f := range x.files {
		x.files[i].later = slices.Contains(k.Later, f.name)
	}
	chunks, err := readChunks(dir, x.files, k.frame)
	if err != nil {
		return err
	}
	rewritten := k.rewriteCalls(x, chunks)
	packed, err := k.compressAll(chunks)
	if err != nil {
		return err
	}
	for i, p := range packed {
		x.frames = append(x.frames, frame{packed: int64(len(p)), raw: int64(len(chunks[i])), sum: sha256.Sum256(p), calls: rewritten[i]})
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	text := x.text()
	if _, err := w.Write(text); err != nil {
		return err
	}
	return writeTrailer(w, text)
}

// scan lists the tree in the order of names.
func scan(dir string) (index, error) {
	var x index
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if strings.ContainsAny(name, " \t\n") {
			return fmt.Errorf("%q: blanks in a name", name)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case info.Mode().IsRegular():
			x.files = append(x.files, file{name: name, size: info.Size(), executable: info.Mode()&0o100 != 0})
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			x.links = append(x.links, link{name: name, target: target})
		default:
			return fmt.Errorf("%s: neither a file nor a link", name)
		}
		return nil
	})
	return x, err
}

// readChunks is the content of all files, one after the other, cut into pieces of one size.
func readChunks(dir string, files []file, size int) ([][]byte, error) {
	var all bytes.Buffer
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.name))
		if err != nil {
			return nil, err
		}
		if int64(len(content)) != f.size {
			return nil, fmt.Errorf("%s: changed while it was read", f.name)
		}
		all.Write(content)
	}
	var chunks [][]byte
	for all.Len() > 0 {
		chunks = append(chunks, all.Next(size))
	}
	return chunks, nil
}

// rewriteCalls changes those chunks that are code, and says for each whose calls it has changed.
func (k Packing) rewriteCalls(x index, chunks [][]byte) []string {
	rewritten := make([]string, len(chunks))
	rewrite := callsOf(k.Processor)
	if rewrite == nil {
		return rewritten
	}
	at := int64(0)
	for i, chunk := range chunks {
		if found := x.rewrite(chunk, at, 1, rewrite); found*dense > len(chunk) {
			rewritten[i] = k.Processor
		} else {
			x.rewrite(chunk, at, -1, rewrite)
		}
		at += int64(len(chunk))
	}
	return rewritten
}

// compressAll packs the chunks, as many at a time as there are processors.
func (k Packing) compressAll(chunks [][]byte) ([][]byte, error) {
	var (
		packed   = make([][]byte, len(chunks))
		failures = make([]error, len(chunks))
		turn     = make(chan struct{}, runtime.NumCPU())
		workers  sync.WaitGroup
	)
	for i := range chunks {
		workers.Go(func() {
			turn <- struct{}{}
			packed[i], failures[i] = k.Compress(chunks[i])
			<-turn
		})
	}
	workers.Wait()
	return packed, errors.Join(failures...)
}

// Quickly compresses some 40 MB/s well enough for every day.
func Quickly() (Compress, error) { return encoder(zstd.SpeedBestCompression) }

func encoder(level zstd.EncoderLevel) (Compress, error) {
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(level),
		zstd.WithWindowSize(frameSize),
		zstd.WithEncoderCRC(false), // the index carries a stronger sum
		zstd.WithEncoderConcurrency(runtime.NumCPU()))
	if err != nil {
		return nil, err
	}
	return func(piece []byte) ([]byte, error) { return e.EncodeAll(piece, nil), nil }, nil
}
