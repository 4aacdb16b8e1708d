package payload

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// small makes archives for tests: many frames of little, quickly.
func small(t *testing.T) Packing {
	t.Helper()
	compress, err := encoder(zstd.SpeedFastest)
	if err != nil {
		t.Fatal(err)
	}
	return Packing{frame: 64 << 10, Compress: compress}
}

// tree makes files that need several frames, so that files share frames and one file spans some.
func tree(t *testing.T, salt uint64) string {
	t.Helper()
	dir := t.TempDir()
	for name, size := range map[string]int{"bin/skerry": 3<<16 + 12345, "bin/cni": 4321, "bin/nft.d/nft": 2 << 16, "bin/empty": 0} {
		write(t, dir, name, content(salt, size))
	}
	if err := os.Symlink("cni", filepath.Join(dir, "bin/bridge")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

func content(salt uint64, size int) []byte {
	random := rand.New(rand.NewPCG(salt, uint64(size)))
	b := make([]byte, size)
	for i := range b {
		b[i] = "abcdefgh"[random.IntN(8)]
	}
	return b
}

// archive packs a tree behind some bytes, as behind a launcher.
func archive(t *testing.T, dir string) string {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("launcher")
	if err := small(t).write(&b, dir); err != nil {
		t.Fatal(err)
	}
	return save(t, b.Bytes())
}

func save(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "skerry")
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, path string) *Payload {
	t.Helper()
	p, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestOpenRefusesWhatIsNotWhole(t *testing.T) {
	whole, err := os.ReadFile(archive(t, tree(t, 1)))
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int) []byte {
		b := bytes.Clone(whole)
		b[at] ^= 1
		return b
	}
	for name, b := range map[string][]byte{
		"empty":                     {},
		"the last byte is missing":  whole[:len(whole)-1],
		"half":                      whole[:len(whole)/2],
		"the first half is missing": whole[len(whole)/2:],
		"another index":             changed(len(whole) - trailerSize - 3),
		"another length":            changed(len(whole) - trailerSize + len(magic) + 1),
	} {
		if p, err := Open(save(t, b)); err == nil {
			p.Close()
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := Open(save(t, []byte("no archive at all, but long enough for a trailer to fit in"))); !errors.Is(err, ErrNone) {
		t.Errorf("a plain file gives %v, want ErrNone", err)
	}
}

func TestTheSameTreeHasTheSameArchive(t *testing.T) {
	first, second := archive(t, tree(t, 1)), archive(t, tree(t, 1))
	a, _ := os.ReadFile(first)
	b, _ := os.ReadFile(second)
	if !bytes.Equal(a, b) {
		t.Error("the archives differ")
	}
	if open(t, first).ID() == open(t, archive(t, tree(t, 2))).ID() {
		t.Error("other content has the same ID")
	}
}

func TestParseIndexRefusesNamesThatLeadOut(t *testing.T) {
	for _, line := range []string{"file 0 ../x", "file 0 /x", "link ../../x bin/y", "link y ../z", "file -1 x", "file 5 x", "frame 1 99999999999 00", "what"} {
		if _, err := parseIndex([]byte(indexHeader + "\n" + line + "\n")); err == nil {
			t.Errorf("%q was taken", line)
		}
	}
}

func TestLoadGivesOneProgram(t *testing.T) {
	p := open(t, archive(t, tree(t, 1)))
	f, err := p.Load("bin/cni")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, content(1, 4321)) {
		t.Errorf("read %d bytes that are not the program's (%v)", len(got), err)
	}
	if _, err := p.Load("bin/other"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there gives %v", err)
	}
}
