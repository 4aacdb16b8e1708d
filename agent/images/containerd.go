package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	namespace = "k8s.io" // where the CRI part of containerd looks
	leaseID   = "skerry-image-import"

	// The CRI part of containerd knows an image as its own, and as exempt from garbage collection, by these labels.
	managedLabel, managed = "io.cri-containerd.image", "managed"
	pinnedLabel, pinned   = "io.cri-containerd.pinned", "pinned"
)

// engine is the store in containerd.
type engine struct {
	client      *client.Client
	snapshotter string
	labels      func(desc) []string
}

var _ store = (*engine)(nil)

func connect(c Config) (store, error) {
	to, err := client.New(c.Socket, client.WithDefaultNamespace(namespace), client.WithDefaultPlatform(platforms.Default()))
	if err != nil {
		return nil, fault.New("speak to containerd at %s", c.Socket).Because(err)
	}
	labels := images.ChildGCLabels
	if c.DiscardLayers {
		labels = images.ChildGCLabelsFilterLayers
	}
	return &engine{client: to, snapshotter: c.Snapshotter, labels: labels}, nil
}

func (e *engine) Close() error { return e.client.Close() }

func (e *engine) Import(ctx context.Context, tar io.Reader, whole func() error) (all []Image, err error) {
	ctx, release, err := e.lease(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { release(err != nil) }()
	l := loader{content: e.client.ContentStore(), platform: platforms.Default(), labels: e.labels}
	found, err := l.load(ctx, tar)
	if err != nil {
		return nil, err
	}
	if err := whole(); err != nil {
		return nil, err
	}
	for _, image := range found {
		if err := e.unpack(ctx, image); err != nil {
			return nil, err
		}
	}
	for _, image := range found {
		named, err := e.publish(ctx, image)
		if err != nil {
			return nil, err
		}
		all = append(all, named...)
	}
	return all, nil
}

// lease keeps what is not named yet from garbage collection. A lease that a power cut left over is replaced, and what
// it kept goes with it. release gives the lease up, and with clean also collects the garbage at once.
func (e *engine) lease(ctx context.Context) (context.Context, func(clean bool), error) {
	service := e.client.LeasesService()
	if err := service.Delete(ctx, leases.Lease{ID: leaseID}); err != nil && !errdefs.IsNotFound(err) {
		return nil, nil, fmt.Errorf("drop an old lease: %w", err)
	}
	l, err := service.Create(ctx, leases.WithID(leaseID), leases.WithExpiration(24*time.Hour))
	if err != nil {
		return nil, nil, fmt.Errorf("take a lease: %w", err)
	}
	return leases.WithLease(ctx, l.ID), func(clean bool) {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer stop()
		var how []leases.DeleteOpt
		if clean {
			how = append(how, leases.SynchronousDelete)
		}
		_ = service.Delete(ctx, l, how...) // it expires, and the next import replaces it
	}, nil
}

// unpack makes the snapshot that containers of the image start from.
func (e *engine) unpack(ctx context.Context, image loaded) error {
	err := client.NewImage(e.client, images.Image{Name: image.name, Target: image.target}).Unpack(ctx, e.snapshotter)
	switch {
	case err == nil:
		return nil
	case broken(err):
		return &flaw{why: "a layer of " + image.name + " is damaged", cure: "save the image again, then " + copyAgain, cause: err}
	}
	return fmt.Errorf("unpack %s: %w", image.name, err)
}

// publish gives the image its names.
func (e *engine) publish(ctx context.Context, image loaded) ([]Image, error) {
	list, err := aliases(image.name, image.target.Digest, image.config)
	if err != nil {
		return nil, err
	}
	all := make([]Image, 0, len(list))
	for _, name := range list {
		if err := e.name(ctx, name, image.target); err != nil {
			return nil, fmt.Errorf("name %s: %w", name, err)
		}
		all = append(all, Image{Name: name, Target: image.target.Digest, Chain: image.chain})
	}
	return all, nil
}

// name points a name at an image and pins it.
func (e *engine) name(ctx context.Context, name string, target desc) error {
	service := e.client.ImageService()
	image := images.Image{Name: name, Target: target, Labels: map[string]string{managedLabel: managed, pinnedLabel: pinned}}
	_, err := service.Create(ctx, image)
	if errdefs.IsAlreadyExists(err) {
		_, err = service.Update(ctx, image, "target", "labels."+managedLabel, "labels."+pinnedLabel)
	}
	return err
}

func (e *engine) Has(ctx context.Context, all []Image) (bool, error) {
	snapshots := e.client.SnapshotService(e.snapshotter)
	for _, want := range all {
		image, err := e.client.ImageService().Get(ctx, want.Name)
		if errdefs.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if image.Target.Digest != want.Target || image.Labels[pinnedLabel] != pinned {
			return false, nil
		}
		if want.Chain == "" {
			continue
		}
		if _, err := snapshots.Stat(ctx, want.Chain.String()); errdefs.IsNotFound(err) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return len(all) > 0, nil
}

func (e *engine) Unpin(ctx context.Context, all []Image) error {
	var errs []error
	for _, image := range all {
		_, err := e.client.ImageService().Update(ctx, images.Image{Name: image.Name, Labels: map[string]string{pinnedLabel: ""}}, "labels."+pinnedLabel)
		if err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Settle waits until the CRI part has heard of the images: it learns names from events, a moment after they appear, and
// the kubelet would try to pull meanwhile. Where that part does not answer there is nothing to wait for.
func (e *engine) Settle(ctx context.Context, all []Image) {
	conn, ok := e.client.Conn().(*grpc.ClientConn)
	if !ok {
		return
	}
	ctx, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	service := cri.NewImageServiceClient(conn)
	for _, image := range all {
		for ctx.Err() == nil {
			answer, err := service.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: image.Name}})
			if err != nil || answer.Image.GetPinned() {
				break
			}
			await(ctx, nil, 2*time.Millisecond)
		}
	}
}
