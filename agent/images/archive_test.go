package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// sample is an image that a test packs.
type sample struct {
	names []string
	text  string // content of its one file
	arch  string // empty for this machine's
}

type entry struct {
	name string
	data []byte
}

type object = map[string]any

func (s sample) parts(t *testing.T) (config, layer []byte) {
	t.Helper()
	layer = tarOf(t, entry{"hello", []byte(s.text)})
	arch := s.arch
	if arch == "" {
		arch = runtime.GOARCH
	}
	config = jsonOf(t, object{"architecture": arch, "os": "linux", "config": object{"Entrypoint": []string{"/hello"}},
		"rootfs": object{"type": "layers", "diff_ids": []string{digest.FromBytes(layer).String()}}})
	return config, layer
}

// docker packs images as `docker save` does.
func docker(t *testing.T, samples ...sample) []entry {
	t.Helper()
	var all []entry
	var manifest []object
	for _, s := range samples {
		config, layer := s.parts(t)
		c, l := digest.FromBytes(config).Encoded()+".json", digest.FromBytes(layer).Encoded()+"/layer.tar"
		all = append(all, entry{c, config}, entry{l, layer})
		manifest = append(manifest, object{"Config": c, "RepoTags": s.names, "Layers": []string{l}})
	}
	return append(all, entry{"manifest.json", jsonOf(t, manifest)})
}

// oci packs images as an OCI layout; key is the annotation that carries the names.
func oci(t *testing.T, key string, samples ...sample) []entry {
	t.Helper()
	all := []entry{{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)}}
	index := []object{}
	for _, s := range samples {
		config, layer := s.parts(t)
		manifest := jsonOf(t, object{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
			"config": describe("config.v1+json", config), "layers": []object{describe("layer.v1.tar", layer)}})
		all = append(all, blobOf(manifest), blobOf(config), blobOf(layer))
		for _, name := range s.names {
			d := describe("manifest.v1+json", manifest)
			d["annotations"] = object{key: name}
			index = append(index, d)
		}
	}
	return append(all, entry{"index.json", jsonOf(t, object{"schemaVersion": 2, "manifests": index})})
}

// multi packs one name for several platforms, of which only some are in the archive.
func multi(t *testing.T, name string, present sample, absent ...string) []entry {
	t.Helper()
	single := oci(t, "io.containerd.image.name", present)
	var top struct{ Manifests []object }
	if err := json.Unmarshal(single[len(single)-1].data, &top); err != nil {
		t.Fatal(err)
	}
	here := top.Manifests[0]
	delete(here, "annotations")
	here["platform"] = object{"os": "linux", "architecture": runtime.GOARCH}
	list := []object{here}
	for _, arch := range absent {
		d := describe("manifest.v1+json", []byte(arch))
		d["platform"] = object{"os": "linux", "architecture": arch}
		list = append(list, d)
	}
	index := jsonOf(t, object{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": list})
	d := describe("index.v1+json", index)
	d["annotations"] = object{"io.containerd.image.name": name}
	return append(single[:len(single)-1], blobOf(index), entry{"index.json", jsonOf(t, object{"schemaVersion": 2, "manifests": []object{d}})})
}

func describe(kind string, data []byte) object {
	return object{"mediaType": "application/vnd.oci.image." + kind, "digest": digest.FromBytes(data).String(), "size": len(data)}
}

func blobOf(data []byte) entry {
	return entry{"blobs/sha256/" + digest.FromBytes(data).Encoded(), data}
}

func jsonOf(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func tarOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: 0o755, Size: int64(len(e.data))}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gz(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zst(t *testing.T, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

func put(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
