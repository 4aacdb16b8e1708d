package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/tests/golden"
)

// runtime is a container runtime with some images.
type runtime struct {
	cri.UnimplementedImageServiceServer
}

func (runtime) ListImages(context.Context, *cri.ListImagesRequest) (*cri.ListImagesResponse, error) {
	return &cri.ListImagesResponse{Images: []*cri.Image{
		{Id: "sha256:aaa", RepoTags: []string{"localhost/skerry/pause:1"}, RepoDigests: []string{"localhost/skerry/pause@sha256:111"}, Size: 6112, Pinned: true},
		{Id: "sha256:bbb", RepoTags: []string{"docker.io/library/redis:7", "docker.io/library/redis:latest"}, Size: 41_300_000, Pinned: true},
		{Id: "sha256:ccc", RepoDigests: []string{"docker.io/library/nginx@sha256:333"}, Size: 190_000_000},
		{Id: "sha256:ddd", Size: 999},
	}}, nil
}

// serve gives the settings by which the runtime and the file of imports are found.
func serve(t *testing.T) config.Images {
	t.Helper()
	dir := t.TempDir()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, "cri.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	cri.RegisterImageServiceServer(server, runtime{})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	c := config.Images{Place: config.Place{DataDir: dir}, ContainerRuntimeEndpoint: filepath.Join(dir, "cri.sock"), Output: "text"}
	imported := `{"files":{"redis.tar.zst":{"images":[{"name":"docker.io/library/redis:7"},{"name":"sha256:bbb"}]}},
		"builtins":{"localhost/skerry/pause:1":{"images":[{"name":"localhost/skerry/pause:1"}]}}}`
	if err := os.MkdirAll(c.Paths().AgentDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Paths().ImportedFile(), []byte(imported), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestList(t *testing.T) {
	c := serve(t)
	for _, form := range []string{"text", "json"} {
		var out bytes.Buffer
		c.Output = form
		if err := List(t.Context(), command.Env{Out: &out}, c); err != nil {
			t.Fatal(err)
		}
		golden.Check(t, "images."+form, out.String())
		if form == "json" && !json.Valid(out.Bytes()) {
			t.Error("it is no JSON")
		}
	}
}

func TestWithoutARuntime(t *testing.T) {
	c := config.Images{Place: config.Place{DataDir: t.TempDir()}, ContainerRuntimeEndpoint: "/nowhere/cri.sock"}
	err := List(t.Context(), command.Env{Out: &bytes.Buffer{}}, c)
	var told *fault.Fault
	if !errors.As(err, &told) || !strings.Contains(told.Cure(), "start the node") {
		t.Errorf("got %v", err)
	}
}
