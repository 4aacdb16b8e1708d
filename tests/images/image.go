package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/klauspost/compress/zstd"
)

// Image is one layer and how to run it.
type Image struct {
	Name       string // with tag, for example localhost/test/nginx:1
	Entrypoint []string
	Cmd        []string
	Files      Tree
}

// Format is how an archive holds an image.
type Format string

// The formats that users have.
const (
	Docker Format = "docker-archive" // what `docker save` writes
	OCI    Format = "oci-archive"    // an OCI image layout in a tar
)

// Compression of an archive, named by its usual file name ending.
type Compression string

// The compressions that users have.
const (
	Plain Compression = ".tar"
	Gzip  Compression = ".tar.gz"
	Zstd  Compression = ".tar.zst"
)

// Write makes an archive file.
func (i Image) Write(file string, format Format, compression Compression) error {
	var archive bytes.Buffer
	blobs, err := i.blobs()
	if err != nil {
		return err
	}
	entries := blobs.docker(i.Name)
	if format == OCI {
		entries = blobs.oci(i.Name)
	}
	out := tar.NewWriter(&archive)
	for _, e := range entries {
		if err := writeFile(out, e.name, File{Mode: 0o644, Data: e.data}); err != nil {
			return fmt.Errorf("write %s: %w", e.name, err)
		}
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("end the archive: %w", err)
	}
	packed, err := compression.pack(archive.Bytes())
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	return os.WriteFile(file, packed, 0o644)
}

func (c Compression) pack(data []byte) ([]byte, error) {
	var packed bytes.Buffer
	var w io.WriteCloser
	switch c {
	case Gzip:
		w = gzip.NewWriter(&packed)
	case Zstd:
		enc, err := zstd.NewWriter(&packed)
		if err != nil {
			return nil, err
		}
		w = enc
	default:
		return data, nil
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// entry is a file in an archive.
type entry struct {
	name string
	data []byte
}

// blobs are the two things an image is made of, whatever the archive's format.
type blobs struct {
	config, layer []byte
}

func (i Image) blobs() (blobs, error) {
	var layer bytes.Buffer
	if err := i.Files.writeTar(&layer); err != nil {
		return blobs{}, err
	}
	type object = map[string]any
	run := object{"Env": []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}
	if len(i.Entrypoint) > 0 {
		run["Entrypoint"] = i.Entrypoint
	}
	if len(i.Cmd) > 0 {
		run["Cmd"] = i.Cmd
	}
	const epoch = "1970-01-01T00:00:00Z"
	config, err := json.Marshal(object{
		"architecture": runtime.GOARCH, "os": "linux", "created": epoch, "config": run,
		"rootfs":  object{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer.Bytes())}},
		"history": []object{{"created": epoch, "created_by": "skerry tests"}},
	})
	return blobs{config: config, layer: layer.Bytes()}, err
}

func (b blobs) docker(name string) []entry {
	config, layer := digest(b.config)+".json", digest(b.layer)+"/layer.tar"
	manifest := mustJSON([]map[string]any{{"Config": config, "RepoTags": []string{name}, "Layers": []string{layer}}})
	return []entry{{config, b.config}, {layer, b.layer}, {"manifest.json", manifest}}
}

func (b blobs) oci(name string) []entry {
	type object = map[string]any
	const media = "application/vnd.oci.image."
	describe := func(kind string, data []byte) object {
		return object{"mediaType": media + kind, "digest": "sha256:" + digest(data), "size": len(data)}
	}
	manifest := mustJSON(object{
		"schemaVersion": 2, "mediaType": media + "manifest.v1+json",
		"config": describe("config.v1+json", b.config),
		"layers": []object{describe("layer.v1.tar", b.layer)},
	})
	top := describe("manifest.v1+json", manifest)
	top["annotations"] = object{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
	blob := func(data []byte) entry { return entry{"blobs/sha256/" + digest(data), data} }
	return []entry{
		{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{"index.json", mustJSON(object{"schemaVersion": 2, "manifests": []object{top}})},
		blob(manifest), blob(b.config), blob(b.layer),
	}
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// mustJSON encodes maps, slices, strings and numbers, which cannot be refused.
func mustJSON(v any) []byte {
	text, _ := json.Marshal(v)
	return text
}
