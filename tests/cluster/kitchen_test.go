package cluster_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skerry-io/skerry/tests/images"
)

// The images that tests use; nothing else is in reach of the hosts.
const (
	busybox = "localhost/test/busybox:1"
	nginx1  = "localhost/test/nginx:1"
	nginx2  = "localhost/test/nginx:2"
	redis   = "localhost/test/redis:1"
	asking  = "localhost/test/resolvers:1"
	demo    = "localhost/skerry/demo:1" // ships inside skerry
)

// archive gives the archive file of an image, and makes it when it is not there. The files of finished recipes are kept
// between runs; remove build/test-images after a change of a recipe.
func archive(t *testing.T, name string) string {
	t.Helper()
	folder, err := filepath.Abs("../../build/test-images")
	if err != nil {
		t.Fatal(err)
	}
	defer oneCook(t, folder)()
	file := filepath.Join(folder, strings.NewReplacer("/", "_", ":", "_").Replace(name)+string(images.Plain))
	if _, err := os.Stat(file); err == nil {
		return file
	}
	image, err := cook(images.Kitchen{Folder: filepath.Join(folder, "packages")}, name)
	if err != nil {
		t.Fatalf("make the image %s: %v", name, err)
	}
	if err := errors.Join(image.Write(file+".new", images.Docker, images.Plain), os.Rename(file+".new", file)); err != nil {
		t.Fatal(err)
	}
	return file
}

// oneCook waits until no other test is in the kitchen.
func oneCook(t *testing.T, folder string) (leave func()) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	kitchen, err := os.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(kitchen.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { _ = kitchen.Close() }
}

func cook(k images.Kitchen, name string) (images.Image, error) {
	switch name {
	case nginx1:
		return k.Nginx(name, "1")
	case nginx2:
		return k.Nginx(name, "2")
	case redis:
		return k.Redis(name)
	case asking:
		return k.Resolvers(name)
	}
	return k.Busybox(name)
}
