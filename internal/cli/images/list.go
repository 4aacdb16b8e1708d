package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/skerry-io/skerry/agent/images"
	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// patience is how long the runtime may take to answer.
const patience = 10 * time.Second

// Where an image can come from.
const (
	builtIn = "built in" // made of a program of Skerry's own
	archive = "archive"  // a file in the images directory
	pulled  = "pulled"   // from a registry, or imported by hand
)

// image is what `images -o json` tells of one; its names are part of the interface.
type image struct {
	Name    string   `json:"name"` // the first of its tags, or its digest when it has none
	ID      string   `json:"id"`
	Tags    []string `json:"tags"`
	Digests []string `json:"digests"`
	Size    uint64   `json:"size"`   // in bytes
	Pinned  bool     `json:"pinned"` // the kubelet never removes it
	From    string   `json:"from"`   // built in, archive, pulled
	Archive string   `json:"archive,omitempty"`
}

// List prints the images on this node.
func List(ctx context.Context, env command.Env, c config.Images) error {
	endpoint := c.RuntimeEndpoint()
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	found, err := ask(ctx, endpoint)
	if err != nil {
		return explain(err, endpoint)
	}
	all := tell(found, images.Origins(c.Paths().ImportedFile()))
	if c.Output == "json" {
		return cluster.JSON(env.Out, all)
	}
	return text(env.Out, all)
}

func ask(ctx context.Context, endpoint string) (all []*cri.Image, err error) {
	if path, ok := strings.CutPrefix(endpoint, "unix://"); ok {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
	}
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	answer, err := cri.NewImageServiceClient(conn).ListImages(ctx, &cri.ListImagesRequest{})
	return answer.GetImages(), err
}

func explain(err error, endpoint string) error {
	f := fault.New("ask the container runtime at %s", endpoint).Because(err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f.Because(errors.New("it does not run")).Fix("start the node, or name the socket of another runtime with --container-runtime-endpoint")
	case errors.Is(err, fs.ErrPermission), os.Geteuid() != 0:
		return f.Fix("run it as root")
	}
	return f.Fix("`skerry status` tells whether the node on this host is well")
}

// tell puts together what the runtime has and where it came from.
func tell(found []*cri.Image, origins map[string]string) []image {
	all := make([]image, 0, len(found))
	for _, i := range found {
		told := image{ID: i.Id, Tags: sorted(i.RepoTags), Digests: sorted(i.RepoDigests), Size: i.Size, Pinned: i.Pinned, From: pulled}
		names := slices.Concat(told.Tags, told.Digests, []string{i.Id})
		told.Name = names[0]
		for _, name := range names {
			file, known := origins[name]
			if !known {
				continue
			}
			if told.From, told.Archive = archive, file; file == "" {
				told.From = builtIn
			}
			break
		}
		all = append(all, told)
	}
	slices.SortFunc(all, func(a, b image) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func sorted(names []string) []string {
	return append([]string{}, slices.Sorted(slices.Values(names))...)
}

// text is the list for people.
func text(out io.Writer, all []image) error {
	rows := [][]string{{"IMAGE", "SIZE", "PINNED", "FROM"}}
	var total uint64
	for _, i := range all {
		pinned, from := "no", i.From
		if i.Pinned {
			pinned = "yes"
		}
		if i.Archive != "" {
			from += " " + filepath.Base(i.Archive)
		}
		names := i.Tags
		if len(names) == 0 {
			names = []string{i.Name}
		}
		for n, name := range names { // one image may have several names; it is told of once
			if n == 0 {
				rows = append(rows, []string{name, cluster.Size(i.Size), pinned, from})
				continue
			}
			rows = append(rows, []string{name, "same", pinned, from})
		}
		total += i.Size
	}
	if err := cluster.Table(out, rows...); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d images, %s\n", len(all), cluster.Size(total))
	return err
}
