package images

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/containerd/log"

	"github.com/skerry-io/skerry/agent/containerd"
)

// daemonDir makes this program the containerd of a test: one process can start it only once.
const daemonDir = "SKERRY_TEST_CONTAINERD"

func TestMain(m *testing.M) {
	if err := log.SetLevel("fatal"); err != nil { // it warns of every file system without fs-verity
		panic(err)
	}
	if dir := os.Getenv(daemonDir); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve runs containerd in a directory until SIGTERM, and says on stdout when it is ready.
func serve(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return containerd.New(containerd.Config{Root: filepath.Join(dir, "root"), State: filepath.Join(dir, "state"), Socket: filepath.Join(dir, "c.sock"),
		Programs: dir, CNIConfig: filepath.Join(dir, "cni"), Snapshotter: "overlayfs", PauseImage: "localhost/skerry/pause:1",
	}).Run(ctx, sync.OnceFunc(func() { fmt.Println("ready") }))
}
