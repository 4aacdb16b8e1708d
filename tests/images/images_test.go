package images_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/skerry-io/skerry/tests/images"
)

func sample() images.Image {
	files := images.Tree{}
	files.Add("/bin/hello", 0o755, []byte("#!/bin/sh\necho hello\n"))
	files.Link("/bin/hi", "hello")
	files.Folder("/tmp", 0o777|os.ModeSticky)
	return images.Image{Name: "localhost/test/hello:1", Entrypoint: []string{"/bin/hello"}, Files: files}
}

func TestSameImageGivesSameBytes(t *testing.T) {
	dir := t.TempDir()
	for _, format := range []images.Format{images.Docker, images.OCI} {
		for _, c := range []images.Compression{images.Plain, images.Gzip, images.Zstd} {
			one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
			for _, file := range []string{one, two} {
				if err := sample().Write(file, format, c); err != nil {
					t.Fatal(err)
				}
			}
			a, _ := os.ReadFile(one)
			b, _ := os.ReadFile(two)
			if len(a) == 0 || !bytes.Equal(a, b) {
				t.Errorf("%s%s: %d and %d bytes that differ", format, c, len(a), len(b))
			}
		}
	}
}

func TestArchiveHoldsWhatItsFormatNeeds(t *testing.T) {
	for format, want := range map[images.Format][]string{images.Docker: {"manifest.json"}, images.OCI: {"oci-layout", "index.json"}} {
		file := filepath.Join(t.TempDir(), "image.tar")
		if err := sample().Write(file, format, images.Plain); err != nil {
			t.Fatal(err)
		}
		names := list(t, file)
		for _, name := range want {
			if !slices.Contains(names, name) {
				t.Errorf("%s has no %s, it has %q", format, name, names)
			}
		}
	}
}

func list(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}
