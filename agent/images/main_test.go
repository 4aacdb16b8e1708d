package images

import (
	"os"
	"testing"

	"github.com/containerd/log"
)

// TestMain silences containerd, which warns of every file system without fs-verity.
func TestMain(m *testing.M) {
	if err := log.SetLevel("error"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
