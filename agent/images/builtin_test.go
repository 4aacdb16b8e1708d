package images

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestComposeGivesOneFileAndOneDigest(t *testing.T) {
	dir := t.TempDir()
	b := Builtin{Name: "localhost/skerry/demo:1", Binary: put(t, dir, "demo", []byte("program")), Entrypoint: []string{"/demo"},
		User: "65534:65534", Ports: []string{"8080/tcp"}}
	first, err := b.compose()
	if err != nil {
		t.Fatal(err)
	}
	var config ocispec.Image
	if err := json.Unmarshal(first.refs[0].data, &config); err != nil {
		t.Fatal(err)
	}
	if config.Architecture != runtime.GOARCH || config.Config.User != "65534:65534" || config.Config.Entrypoint[0] != "/demo" {
		t.Errorf("got %+v", config)
	}
	if _, ok := config.Config.ExposedPorts["8080/tcp"]; !ok {
		t.Error("the port is missing")
	}
	layer := tar.NewReader(bytes.NewReader(first.refs[1].data))
	h, err := layer.Next()
	if err != nil || h.Name != "demo" || h.Mode != 0o555 || h.Uid != 0 {
		t.Errorf("got %+v, %v", h, err)
	}
	if text, err := io.ReadAll(layer); string(text) != "program" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
	if _, err := layer.Next(); err != io.EOF {
		t.Errorf("more than one file: %v", err)
	}

	other := b
	other.Binary = put(t, t.TempDir(), "renamed", []byte("program"))
	if err := os.Chtimes(other.Binary, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if second, err := other.compose(); err != nil || second.Digest != first.Digest {
		t.Errorf("the same program gives another digest, %v", err)
	}
	other.User = "0"
	if second, err := other.compose(); err != nil || second.Digest == first.Digest {
		t.Errorf("other settings give the same digest, %v", err)
	}
}

func TestComposeRefusesWhatIsNoProgram(t *testing.T) {
	dir := t.TempDir()
	for name, b := range map[string]Builtin{
		"no such file":     {Binary: filepath.Join(dir, "none"), Entrypoint: []string{"/x"}},
		"not a program":    {Binary: dir, Entrypoint: []string{"/x"}},
		"without the path": {Binary: put(t, dir, "x", nil)},
	} {
		if _, err := b.compose(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
