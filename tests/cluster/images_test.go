package cluster_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/tests/images"
)

// TestImageArchives: archives in the images folder become images, whatever their format, at start and while running;
// they stay; bad ones are reported and harm nothing.
func TestImageArchives(t *testing.T) {
	n := newNode(t, nil)
	folder := filepath.Dir(archive(t, busybox))
	leave := oneCook(t, folder)
	base, err := cook(images.Kitchen{Folder: filepath.Join(folder, "packages")}, busybox)
	leave()
	if err != nil {
		t.Fatal(err)
	}
	var atStart, later []string
	for i, format := range []images.Format{images.Docker, images.OCI} {
		for _, compression := range []images.Compression{images.Plain, images.Gzip, images.Zstd} {
			name := fmt.Sprintf("localhost/test/%s%s:1", format, strings.ReplaceAll(string(compression), ".", "-"))
			n.drop(t, base, name, format, compression)
			atStart = append(atStart, name)
			if i == 0 {
				later = append(later, strings.Replace(name, ":1", ":2", 1))
			}
		}
	}
	n.spoil(t, base)
	n.serve()
	n.ready(t)

	t.Run("those there at the start", func(t *testing.T) { n.haveImages(t, atStart...) })
	t.Run("those that come while running", func(t *testing.T) {
		n.drop(t, base, later[0], images.Docker, images.Plain)
		n.drop(t, base, later[1], images.OCI, images.Gzip)
		n.drop(t, base, later[2], images.Docker, images.Zstd)
		n.haveImages(t, later...)
	})
	t.Run("they run", func(t *testing.T) {
		for i, name := range append(slices.Clone(atStart), later...) {
			n.create(t, sleeperOf(fmt.Sprintf("image-%d", i), name))
		}
		for i := range len(atStart) + len(later) {
			n.podReady(t, fmt.Sprintf("image-%d", i))
		}
	})
	t.Run("they are pinned against garbage collection", func(t *testing.T) {
		for _, name := range append(slices.Clone(atStart), later...) {
			if out := n.skerry(t, "crictl", "inspecti", name); !strings.Contains(out, `"pinned": true`) {
				t.Errorf("%s: %s", name, tail(out, 40))
			}
		}
	})
	t.Run("bad ones are reported by name", func(t *testing.T) {
		n.eventually(t, "all bad archives are reported", func() error { return n.reported(badArchives()...) })
	})
	t.Run("unchanged ones are not imported again", func(t *testing.T) {
		_ = n.stop(t)
		n.serve()
		n.ready(t)
		n.create(t, sleeperOf("again", atStart[0]))
		n.podReady(t, "again")
		n.drop(t, base, "localhost/test/last:1", images.Docker, images.Plain)
		n.haveImages(t, "localhost/test/last:1")
		// The last one is in, so the others have been looked at. The log says what was imported.
		for line := range strings.Lines(n.proc.Output()) {
			if strings.Contains(line, "docker-archive-tar") && strings.Contains(line, "import") && !strings.Contains(line, "unchanged") {
				t.Errorf("imported again: %s", line)
			}
		}
	})
}

// drop writes an archive as users do with a copy: under its final name, in pieces.
func (n *node) drop(t *testing.T, image images.Image, name string, format images.Format, compression images.Compression) {
	t.Helper()
	image.Name, image.Files = name, maps.Clone(image.Files)
	image.Files.Add("/name", 0o644, []byte(name)) // no two are the same image
	short := strings.NewReplacer("localhost/test/", "", ":", "-").Replace(name)
	file := filepath.Join(t.TempDir(), short+string(compression))
	if err := image.Write(file, format, compression); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(imagesDir, filepath.Base(file))
	n.host.Write(to, data[:len(data)/2])
	out, err := os.OpenFile(n.host.Path(to), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	time.Sleep(50 * time.Millisecond) // long enough to be seen half written
	if _, err := out.Write(data[len(data)/2:]); err != nil {
		t.Fatal(err)
	}
}

func badArchives() []string {
	return []string{"truncated.tar", "truncated.tar.gz", "not-a-tar.tar", "wrong-digest.tar", "empty.tar"}
}

// spoil puts archives into the images folder that no one can import.
func (n *node) spoil(t *testing.T, image images.Image) {
	t.Helper()
	image.Name = "localhost/test/bad:1"
	read := func(format images.Format, compression images.Compression) []byte {
		file := filepath.Join(t.TempDir(), "image")
		if err := image.Write(file, format, compression); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	plain, packed, oci := read(images.Docker, images.Plain), read(images.Docker, images.Gzip), read(images.OCI, images.Plain)
	spoiled := bytes.Replace(oci, []byte("BusyBox v"), []byte("BusyBax v"), 1)
	if bytes.Equal(spoiled, oci) {
		t.Fatal("found nothing to spoil in the layer")
	}
	for name, data := range map[string][]byte{
		"truncated.tar":    plain[:len(plain)/2],
		"truncated.tar.gz": packed[:len(packed)/2],
		"not-a-tar.tar":    bytes.Repeat([]byte("this is no archive\n"), 100),
		"wrong-digest.tar": spoiled,
		"empty.tar":        nil,
	} {
		n.host.Write(filepath.Join(imagesDir, name), data)
	}
}

// reported is nil when the log names every one of the files in a warning or an error.
func (n *node) reported(files ...string) error {
	var silent []string
	for _, file := range files {
		named := false
		for line := range strings.Lines(n.proc.Output()) {
			low := strings.ToLower(line)
			named = named || strings.Contains(line, "/"+file) && (strings.Contains(low, "warn") || strings.Contains(low, "error"))
		}
		if !named {
			silent = append(silent, file)
		}
	}
	if len(silent) > 0 {
		return fmt.Errorf("nothing about %q", silent)
	}
	return nil
}

// haveImages waits until the runtime has the images.
func (n *node) haveImages(t *testing.T, names ...string) {
	t.Helper()
	n.eventually(t, fmt.Sprintf("the node has %q", names), func() error {
		out, err := n.try(t, "crictl", "images", "-o", "json")
		if err != nil {
			return err
		}
		for _, name := range names {
			if !strings.Contains(out, `"`+name+`"`) {
				return fmt.Errorf("no %s", name)
			}
		}
		return nil
	})
}
