package images

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/skerry-io/skerry/internal/fault"
)

// maxBinary bounds a program that is made into an image: it is held in memory meanwhile.
const maxBinary = 64 << 20

// Builtin is an image of one layer that holds one static program of this machine's architecture. The same program and
// settings always give the same digest.
type Builtin struct {
	Name       string   // for example "localhost/skerry/pause:1"
	Binary     string   // the program on this machine
	Entrypoint []string // the first word is where the program lies in the image, for example "/pause"
	User       string   // numeric, "65535:65535"
	Ports      []string // for example "8080/tcp"
}

// record says what the image is made of, cheaply: a change of any of it makes the image anew.
func (b Builtin) record() (record, error) {
	info, err := os.Stat(b.Binary)
	if err != nil {
		return record{}, err
	}
	settings, err := json.Marshal(b)
	if err != nil {
		return record{}, err
	}
	sum := sha256.Sum256(settings)
	return record{Path: b.Binary, Size: info.Size(), Time: info.ModTime(), SHA256: hex.EncodeToString(sum[:])}, nil
}

// part is a blob of an image.
type part struct {
	desc
	data []byte
	refs []part // kept from garbage collection by this one
}

func newPart(mediaType string, data []byte, refs ...part) part {
	return part{desc{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}, data, refs}
}

// compose makes the image: its manifest, which refers to its configuration and its layer.
func (b Builtin) compose() (part, error) {
	if len(b.Entrypoint) == 0 || !strings.HasPrefix(b.Entrypoint[0], "/") {
		return part{}, fault.New("a built-in image without the path of its program")
	}
	packed, err := b.layer()
	if err != nil {
		return part{}, err
	}
	layer := newPart(ocispec.MediaTypeImageLayer, packed)
	settings := ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH, Variant: variant(runtime.GOARCH)},
		Config:   ocispec.ImageConfig{User: b.User, Entrypoint: b.Entrypoint, WorkingDir: "/"},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Digest}},
	}
	for _, port := range b.Ports {
		if settings.Config.ExposedPorts == nil {
			settings.Config.ExposedPorts = map[string]struct{}{}
		}
		settings.Config.ExposedPorts[port] = struct{}{}
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return part{}, err
	}
	config := newPart(ocispec.MediaTypeImageConfig, text)
	text, err = json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config.desc,
		Layers:    []desc{layer.desc},
	})
	return newPart(ocispec.MediaTypeImageManifest, text, config, layer), err
}

// layer is a tar of the program and nothing else.
func (b Builtin) layer() ([]byte, error) {
	info, err := os.Stat(b.Binary)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxBinary {
		return nil, &fs.PathError{Op: "pack", Path: b.Binary, Err: fmt.Errorf("not a program of at most %d MiB", maxBinary>>20)}
	}
	program, err := os.ReadFile(b.Binary)
	if err != nil {
		return nil, err
	}
	packed := bytes.NewBuffer(make([]byte, 0, len(program)+4096))
	w := tar.NewWriter(packed)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(b.Entrypoint[0], "/"), Size: int64(len(program)),
		Mode: 0o555, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	return packed.Bytes(), w.Close()
}

// variant is the least processor that our programs for an architecture need.
func variant(arch string) string {
	switch arch {
	case "arm":
		return "v7"
	case "arm64":
		return "v8"
	}
	return ""
}

// Build makes a built-in image in containerd.
func (e *engine) Build(ctx context.Context, b Builtin) (all []Image, err error) {
	manifest, err := b.compose()
	if err != nil {
		return nil, err
	}
	name, err := normal(b.Name)
	if err != nil {
		return nil, err
	}
	ctx, release, err := e.lease(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { release(err != nil) }()
	if err := e.write(ctx, manifest); err != nil {
		return nil, err
	}
	config, layer := manifest.refs[0], manifest.refs[1]
	image := loaded{name: name, target: manifest.desc, config: config.Digest, chain: identity.ChainID([]digest.Digest{layer.Digest})}
	if err := e.unpack(ctx, image); err != nil {
		return nil, err
	}
	return e.publish(ctx, image)
}

// write puts a part, after what it refers to, into the content store.
func (e *engine) write(ctx context.Context, p part) error {
	in := newIntake(e.client.ContentStore())
	labels := map[string]string{}
	for n, ref := range p.refs {
		if err := e.write(ctx, ref); err != nil {
			return err
		}
		labels[fmt.Sprintf("containerd.io/gc.ref.content.%d", n)] = ref.Digest.String()
	}
	return content.WriteBlob(ctx, in, p.Digest.String(), bytes.NewReader(p.data), p.desc, content.WithLabels(labels))
}
