package images

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	layout "github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

type desc = ocispec.Descriptor

// loaded is an image whose content is complete in the store, but which has no name there yet.
type loaded struct {
	name   string
	target desc
	config digest.Digest
	chain  digest.Digest
}

// loader reads archives into a content store.
type loader struct {
	content  content.Store
	platform platforms.MatchComparer
	labels   func(desc) []string // how a manifest keeps its parts from garbage collection
}

// load reads a tar stream and gives the images in it that are for this machine.
func (l loader) load(ctx context.Context, tar io.Reader) ([]loaded, error) {
	in := newIntake(l.content)
	index, err := layout.ImportIndex(ctx, in, tar)
	if err != nil {
		if in.err != nil {
			return nil, in.err
		}
		return nil, badLayout(ctx, err)
	}
	l.content = in
	found, err := l.index(ctx, index)
	if err != nil && in.err != nil {
		return nil, in.err
	}
	return found, err
}

// badLayout turns what the reader of archives says, when neither store nor disk failed, into a flaw.
func badLayout(ctx context.Context, err error) error {
	var known *flaw
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	const save = "save the image again, with `docker save name:tag` or as an OCI archive"
	switch {
	case ctx.Err() != nil || errors.As(err, &known) || errdefs.IsUnavailable(err):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return truncated(err)
	case errors.Is(err, tar.ErrHeader):
		return badStream(err)
	case errors.As(err, &syntax) || errors.As(err, &kind):
		return &flaw{why: "a description in the archive is not valid", cure: save, cause: err}
	case strings.Contains(err.Error(), "unrecognized image format"):
		return &flaw{why: "the archive holds no image: neither manifest.json nor an OCI layout", cure: save, missing: true}
	}
	return &flaw{why: "the archive is incomplete", cure: save, missing: true, cause: err}
}

// index reads the list of images of an archive.
func (l loader) index(ctx context.Context, d desc) ([]loaded, error) {
	var index ocispec.Index
	if err := l.read(ctx, d, &index); err != nil {
		return nil, err
	}
	var all []loaded
	var strange []string
	for _, m := range index.Manifests {
		name, err := nameOf(m.Annotations)
		if err != nil {
			return nil, &flaw{why: err.Error(), cure: "give the image a full name, for example with `docker tag`, and save it again"}
		}
		if name == "" {
			continue
		}
		image, err := l.image(ctx, name, m)
		if other := (*foreign)(nil); errors.As(err, &other) {
			strange = append(strange, fmt.Sprintf("%s is for %s", name, other.platform))
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, image)
	}
	switch {
	case len(all) > 0:
		return all, nil
	case len(strange) > 0:
		return nil, &flaw{why: fmt.Sprintf("no image in the archive is for %s: %s", platforms.Format(platforms.DefaultSpec()), strings.Join(strange, ", ")),
			cure: "save the image for this machine, for example after `docker pull --platform " + platforms.Format(platforms.DefaultSpec()) + "`"}
	}
	return nil, &flaw{why: "no image in the archive has a name", cure: "save it by name and tag: `docker save name:tag`, `skopeo copy ... docker-archive:file.tar:name:tag`"}
}

// image checks that all of an image is there and ties its parts together.
func (l loader) image(ctx context.Context, name string, target desc) (loaded, error) {
	if err := l.fits(ctx, target); err != nil {
		return loaded{}, err
	}
	if err := l.complete(ctx, name, target); err != nil {
		return loaded{}, err
	}
	config, err := images.Config(ctx, l.content, target, l.platform)
	if err != nil {
		return loaded{}, l.lack(name, err)
	}
	layers, err := images.RootFS(ctx, l.content, config)
	if err != nil {
		return loaded{}, l.lack(name, err)
	}
	target.Annotations = nil // those are of the archive, not of the image
	return loaded{name: name, target: target, config: config.Digest, chain: identity.ChainID(layers)}, nil
}

// foreign says that an image is for other machines.
type foreign struct{ platform string }

func (f *foreign) Error() string { return "the image is for " + f.platform }

// fits is a foreign error when no manifest of the image is for this machine.
func (l loader) fits(ctx context.Context, target desc) error {
	if images.IsIndexType(target.MediaType) {
		var index ocispec.Index
		if err := l.read(ctx, target, &index); err != nil {
			return err
		}
		var others []string
		for _, m := range index.Manifests {
			if m.Platform == nil || l.platform.Match(*m.Platform) {
				return nil
			}
			others = append(others, platforms.Format(*m.Platform))
		}
		return &foreign{strings.Join(others, ", ")}
	}
	manifest, err := images.Manifest(ctx, l.content, target, l.platform)
	if err != nil {
		return l.lack(target.Digest.String(), err)
	}
	p, err := images.ConfigPlatform(ctx, l.content, manifest.Config)
	if err != nil {
		return l.lack(target.Digest.String(), err)
	}
	if p.Architecture != "" && !l.platform.Match(platforms.Normalize(p)) {
		return &foreign{platforms.Format(p)}
	}
	return nil
}

// complete looks every part of the image up and labels it, so that garbage collection keeps what belongs together.
func (l loader) complete(ctx context.Context, name string, target desc) error {
	present := images.HandlerFunc(func(ctx context.Context, d desc) ([]desc, error) {
		if err := d.Digest.Validate(); err != nil {
			return nil, &flaw{why: name + " refers to a blob that is no digest", cure: copyAgain, cause: err}
		}
		info, err := l.content.Info(ctx, d.Digest)
		if err != nil {
			return nil, l.lack(name, err)
		}
		if info.Size != d.Size {
			return nil, &flaw{why: fmt.Sprintf("blob %s of %s has %d bytes, not %d", d.Digest, name, info.Size, d.Size), cure: copyAgain}
		}
		children, err := images.Children(ctx, l.content, d)
		if err != nil {
			return nil, l.lack(name, err)
		}
		return children, nil
	})
	mine := images.LimitManifests(images.FilterPlatforms(present, l.platform), l.platform, 1)
	return images.Walk(ctx, images.SetChildrenMappedLabels(l.content, mine, l.labels), target)
}

// lack turns a missing or unreadable part into a flaw, and leaves troubles of the store alone.
func (l loader) lack(name string, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errdefs.IsNotFound(err):
		return &flaw{why: "the archive lacks a part of " + name, cure: "save the image again, whole", missing: true, cause: err}
	case errors.As(err, &syntax) || strings.Contains(err.Error(), "media-type:") || strings.Contains(err.Error(), "json:"):
		return &flaw{why: "a description of " + name + " is not valid", cure: "save the image again", cause: err}
	}
	return err
}

// read decodes a small blob.
func (l loader) read(ctx context.Context, d desc, into any) error {
	text, err := content.ReadBlob(ctx, l.content, d)
	if err != nil {
		return l.lack("its index", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return &flaw{why: "an index in the archive is not valid", cure: "save the image again", cause: err}
	}
	return nil
}
