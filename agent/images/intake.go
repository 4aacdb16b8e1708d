package images

import (
	"context"
	"crypto/rand"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// intake is a content store as one import sees it. Its writes cannot meet the leftovers of another import, a blob that
// the store has is not written to disk again, and a blob that carries its digest in its name must have it.
type intake struct {
	content.Store
	prefix string
	err    error // first failure of the store itself, as opposed to one of what was put into it
}

func newIntake(s content.Store) *intake {
	return &intake{Store: s, prefix: "skerry-" + rand.Text() + "-"}
}

// note keeps an error that the store is to blame for.
func (s *intake) note(err error) error {
	blameless := err == nil || errdefs.IsAlreadyExists(err) || errdefs.IsNotFound(err) || errdefs.IsFailedPrecondition(err) ||
		errdefs.IsInvalidArgument(err)
	if !blameless && s.err == nil {
		s.err = err
	}
	return err
}

func (s *intake) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var want content.WriterOpts
	for _, o := range opts {
		if err := o(&want); err != nil {
			return nil, err
		}
	}
	named := digestIn(want.Ref)
	if named != "" {
		want.Desc.Digest = named
	}
	w, err := s.Store.Writer(ctx, content.WithRef(s.prefix+want.Ref), content.WithDescriptor(want.Desc))
	switch {
	case errdefs.IsAlreadyExists(err) && named != "":
		return &matcher{want: named, got: digest.Canonical.Digester()}, nil
	case err != nil:
		return nil, s.note(err)
	}
	return &blob{Writer: w, named: named, from: s}, nil
}

func (s *intake) ReaderAt(ctx context.Context, desc desc) (content.ReaderAt, error) {
	r, err := s.Store.ReaderAt(ctx, desc)
	return r, s.note(err)
}

// digestIn is the digest that the path of a blob in an OCI layout promises, "" when it promises none. The writer's
// reference ends in that path.
func digestIn(ref string) digest.Digest {
	_, path, found := strings.Cut(ref, "blobs/")
	algorithm, hex, pair := strings.Cut(path, "/")
	d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex)
	if !found || !pair || d.Validate() != nil || d.Algorithm() != digest.Canonical {
		return ""
	}
	return d
}

// blob is a writer that holds a blob to its name.
type blob struct {
	content.Writer
	named digest.Digest
	from  *intake
}

func (b *blob) Write(p []byte) (int, error) {
	n, err := b.Writer.Write(p)
	return n, b.from.note(err)
}

func (b *blob) Commit(ctx context.Context, size int64, expected digest.Digest, opts ...content.Opt) error {
	if expected == "" {
		expected = b.named
	}
	err := b.from.note(b.Writer.Commit(ctx, size, expected, opts...))
	if b.named != "" && errdefs.IsFailedPrecondition(err) {
		return wrongDigest(b.named)
	}
	return err
}

// matcher takes a blob that the store has already, and only checks it.
type matcher struct {
	want digest.Digest
	got  digest.Digester
	size int64
}

func (m *matcher) Write(p []byte) (int, error) {
	m.size += int64(len(p))
	return m.got.Hash().Write(p)
}

func (m *matcher) Commit(context.Context, int64, digest.Digest, ...content.Opt) error {
	if m.got.Digest() != m.want {
		return wrongDigest(m.want)
	}
	return nil
}

func (m *matcher) Close() error                    { return nil }
func (m *matcher) Digest() digest.Digest           { return m.got.Digest() }
func (m *matcher) Status() (content.Status, error) { return content.Status{Offset: m.size}, nil }
func (m *matcher) Truncate(int64) error            { return nil }

func wrongDigest(d digest.Digest) error {
	return &flaw{why: "the content of blob " + d.String() + " has another digest", cure: copyAgain}
}
