package containerd

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/containerd/containerd/v2/cmd/containerd/server"
	"github.com/containerd/containerd/v2/core/mount"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/skerry-io/skerry/internal/component"
)

// Daemon is containerd.
type Daemon struct{ config Config }

// New prepares the runtime.
func New(c Config) *Daemon { return &Daemon{c} }

// Run runs containerd until ctx ends. Pods go on without it.
func (d *Daemon) Run(ctx context.Context, ready func()) error {
	config := daemon(d.config)
	if err := d.config.check(); err != nil {
		return err
	}
	if err := server.CreateTopLevelDirectories(config); err != nil {
		return fmt.Errorf("make containerd's directories: %w", err)
	}
	if err := mount.SetTempMountLocation(filepath.Join(config.Root, "tmpmounts")); err != nil {
		return fmt.Errorf("make containerd's mount directory: %w", err)
	}
	if _, err := mount.CleanupTempMounts(0); err != nil {
		return fmt.Errorf("remove what an earlier run left mounted: %w", err)
	}
	built, err := server.New(ctx, config)
	if err != nil {
		return fmt.Errorf("build containerd: %w", err)
	}
	defer built.Stop()
	if err := built.Start(ctx); err != nil {
		return fmt.Errorf("start containerd: %w", err)
	}
	conn, err := grpc.NewClient("unix://"+d.config.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	healthy := func(ctx context.Context) error {
		_, err := cri.NewRuntimeServiceClient(conn).Version(ctx, &cri.VersionRequest{})
		return err
	}
	return component.Run(ctx, ready, healthy, func(ctx context.Context) error {
		built.Wait() // until the CRI has read what runs already
		<-ctx.Done()
		return nil
	})
}
