package images

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
)

// Image is a name in the runtime and what stands behind it.
type Image struct {
	Name   string        `json:"name"`
	Target digest.Digest `json:"target"` // of the manifest or index
	Chain  digest.Digest `json:"chain"`  // names the unpacked snapshot
}

// store is the runtime, as far as the importer needs it.
type store interface {
	// Import reads a tar stream and gives the images in it names, all or none. It calls whole when it has read what it
	// needs, before the first name appears, and gives up on its error.
	Import(ctx context.Context, tar io.Reader, whole func() error) ([]Image, error)
	// Build makes an image of one program.
	Build(ctx context.Context, b Builtin) ([]Image, error)
	// Has says whether every image is there, unpacked and pinned.
	Has(ctx context.Context, images []Image) (bool, error)
	// Unpin leaves images to garbage collection.
	Unpin(ctx context.Context, images []Image) error
	// Settle waits, for a short while, until pods can use the images.
	Settle(ctx context.Context, images []Image)
	Close() error
}
