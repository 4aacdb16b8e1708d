package payload

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The archive is: frames (zstd, each for itself), then the index (text), then the trailer. What the frames hold, one after the
// other, is what the files hold, one after the other: so frames can be unpacked in parallel although files share them.

// maxFrame bounds the memory that one frame may ask for.
const maxFrame = 64 << 20

// file is one regular file of the archive.
type file struct {
	name       string // relative, with slashes
	size       int64
	executable bool
	later      bool // unpacked when it is asked for, by Store.Add
}

// link is a symbolic link to a name beside it.
type link struct{ name, target string }

// frame is one independent zstd frame.
type frame struct {
	packed, raw int64
	sum         [sha256.Size]byte // of the packed bytes
	calls       string            // whose processor's calls are written as places in it, "" for none
}

type index struct {
	files  []file
	links  []link
	frames []frame
}

const indexHeader = "skerry payload 1"

// text is the index as it is stored.
func (x index) text() []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, indexHeader)
	for _, f := range x.files {
		fmt.Fprintln(&b, f.kind(), f.size, f.name)
	}
	for _, l := range x.links {
		fmt.Fprintln(&b, "link", l.target, l.name)
	}
	for _, f := range x.frames {
		fmt.Fprintln(&b, strings.TrimSpace(fmt.Sprintln("frame", f.packed, f.raw, hex.EncodeToString(f.sum[:]), f.calls)))
	}
	return b.Bytes()
}

// kind is the first word of a file's line.
func (f file) kind() string {
	switch {
	case f.later:
		return "later"
	case f.executable:
		return "program"
	}
	return "file"
}

// parseIndex reads what text wrote and refuses what could not have come from it.
func parseIndex(text []byte) (index, error) {
	var x index
	lines := bufio.NewScanner(bytes.NewReader(text))
	if !lines.Scan() || lines.Text() != indexHeader {
		return x, errors.New("the index has another format")
	}
	for lines.Scan() {
		if err := x.parseLine(strings.Fields(lines.Text())); err != nil {
			return x, fmt.Errorf("index line %q: %w", lines.Text(), err)
		}
	}
	return x, x.check()
}

func (x *index) parseLine(words []string) error {
	switch {
	case len(words) == 3 && slices.Contains([]string{"file", "program", "later"}, words[0]):
		size, err := strconv.ParseInt(words[1], 10, 64)
		x.files = append(x.files, file{name: words[2], size: size, executable: words[0] != "file", later: words[0] == "later"})
		return err
	case len(words) == 3 && words[0] == "link":
		x.links = append(x.links, link{target: words[1], name: words[2]})
		return nil
	case len(words) == 4 && words[0] == "frame":
		return x.parseFrame(words[1:], "")
	case len(words) == 5 && words[0] == "frame" && callsOf(words[4]) != nil:
		return x.parseFrame(words[1:], words[4])
	}
	return errors.New("not understood")
}

func (x *index) parseFrame(words []string, calls string) error {
	packed, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil {
		return err
	}
	raw, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil {
		return err
	}
	sum, err := hex.DecodeString(words[2])
	if err != nil || len(sum) != sha256.Size {
		return errors.New("not a SHA-256 sum")
	}
	x.frames = append(x.frames, frame{packed: packed, raw: raw, sum: [sha256.Size]byte(sum), calls: calls})
	return nil
}

// check holds the parts of the index against each other, so that the rest of the package can trust it.
func (x index) check() error {
	for _, f := range x.files {
		if f.size < 0 || !filepath.IsLocal(f.name) {
			return fmt.Errorf("%q is not a file of an archive", f.name)
		}
	}
	for _, l := range x.links {
		if !filepath.IsLocal(l.name) || !filepath.IsLocal(filepath.Join(filepath.Dir(l.name), l.target)) {
			return fmt.Errorf("the link %q leads out of the archive", l.name)
		}
	}
	var raw int64
	for _, f := range x.frames {
		if f.packed < 0 || f.raw < 0 || f.raw > maxFrame {
			return fmt.Errorf("a frame of %d bytes is out of range", f.raw)
		}
		raw += f.raw
	}
	if raw != x.rawSize() {
		return fmt.Errorf("the frames hold %d bytes and the files %d", raw, x.rawSize())
	}
	return nil
}

// rawSize is what the unpacked files occupy, in bytes.
func (x index) rawSize() (total int64) {
	for _, f := range x.files {
		total += f.size
	}
	return total
}

// part is what a stretch of the content holds of one file: from..to in the content, of the file that begins at begin.
type part struct {
	file            int
	begin, from, to int64
}

// parts are the files that a stretch of the content touches.
func (x index) parts(at, length int64) iter.Seq[part] {
	return func(yield func(part) bool) {
		var begin int64
		for i, f := range x.files {
			from, to := max(at, begin), min(at+length, begin+f.size)
			if from < to && !yield(part{file: i, begin: begin, from: from, to: to}) {
				return
			}
			begin += f.size
		}
	}
}

// packedSize is what the frames occupy in the archive, in bytes.
func (x index) packedSize() (total int64) {
	for _, f := range x.frames {
		total += f.packed
	}
	return total
}
