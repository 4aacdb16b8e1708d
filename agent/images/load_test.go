package images

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/platforms"
	"go.etcd.io/bbolt"
)

// contentStore is containerd's own, without containerd.
func contentStore(t *testing.T) content.Store {
	t.Helper()
	dir := t.TempDir()
	blobs, err := local.NewStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(dir, "meta.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return metadata.NewDB(db, blobs, nil).ContentStore()
}

// loadFile reads an archive file as the importer does.
func loadFile(t *testing.T, in content.Store, path string) ([]string, error) {
	t.Helper()
	ctx := namespaces.WithNamespace(t.Context(), namespace)
	a, err := openArchive(ctx, path)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	found, err := loader{content: in, platform: platforms.Default(), labels: images.ChildGCLabels}.load(ctx, a)
	if err == nil {
		_, err = a.finish()
	}
	if err != nil {
		return nil, a.blame(err)
	}
	var names []string
	for _, image := range found {
		names = append(names, image.name)
		if image.config == "" || image.chain == "" {
			t.Errorf("%s has no config or chain", image.name)
		}
	}
	return names, nil
}

const (
	containerdName = "io.containerd.image.name"
	ociName        = "org.opencontainers.image.ref.name"
)

func TestLoadReadsEveryFormat(t *testing.T) {
	here := sample{names: []string{"redis"}, text: "hi"}
	two := []sample{{names: []string{"a:1", "localhost:5000/b:2"}, text: "a"}, {names: []string{"quay.io/c/d:3"}, text: "d"}}
	twoNames := []string{"docker.io/library/a:1", "localhost:5000/b:2", "quay.io/c/d:3"}
	for name, c := range map[string]struct {
		entries []entry
		want    []string
	}{
		"docker":                            {docker(t, here), []string{"docker.io/library/redis:latest"}},
		"docker, several images and tags":   {docker(t, two...), twoNames},
		"oci, containerd's annotation":      {oci(t, containerdName, here), []string{"docker.io/library/redis:latest"}},
		"oci, several images and tags":      {oci(t, containerdName, two...), twoNames},
		"oci, standard annotation":          {oci(t, ociName, sample{names: []string{"redis:7"}, text: "hi"}), []string{"docker.io/library/redis:7"}},
		"oci, only this platform is there":  {multi(t, "x:1", here, "s390x", "ppc64le"), []string{"docker.io/library/x:1"}},
		"docker and oci in one, as both do": {append(oci(t, containerdName, here), docker(t, here)...), []string{"docker.io/library/redis:latest"}},
		"one of two is for this machine": {docker(t, here, sample{names: []string{"far:1"}, arch: "s390x"}),
			[]string{"docker.io/library/redis:latest"}},
	} {
		plain := tarOf(t, c.entries...)
		for file, data := range map[string][]byte{"i.tar": plain, "i.tar.gz": gz(t, plain), "i.tar.zst": zst(t, plain),
			"gzip-named-plain.tar": gz(t, plain), "plain-named-zstd.tar.zst": plain} {
			t.Run(name+", "+file, func(t *testing.T) {
				got, err := loadFile(t, contentStore(t), put(t, t.TempDir(), file, data))
				if err != nil || !slices.Equal(got, c.want) {
					t.Errorf("got %q, %v; want %q", got, err, c.want)
				}
			})
		}
	}
}

func TestLoadNamesWhatIsWrong(t *testing.T) {
	here := sample{names: []string{"redis:7"}, text: "content of the one file"}
	asDocker, asOCI := tarOf(t, docker(t, here)...), tarOf(t, oci(t, containerdName, here)...)
	without := func(entries []entry, part string) []byte {
		return tarOf(t, slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return strings.Contains(e.name, part) })...)
	}
	_, layer := here.parts(t)
	noise := bytes.Repeat([]byte("this is no archive\n"), 100)
	flip := func(data []byte, at int) []byte { data = slices.Clone(data); data[at] ^= 0x55; return data }
	for name, c := range map[string]struct {
		data []byte
		want string
		cut  bool
	}{
		"empty":                      {nil, "the file is empty", true},
		"truncated":                  {asDocker[:len(asDocker)/2], "ends too early", true},
		"truncated oci":              {asOCI[:700], "ends too early", true},
		"cut between two entries":    {asDocker[:len(asDocker)-1024-1024], "ends too early", true},
		"truncated gzip":             {gz(t, asDocker)[:200], "ends too early", true},
		"truncated after the images": {gz(t, asDocker)[:len(gz(t, asDocker))-6], "ends too early", true},
		"truncated zstd":             {zst(t, asDocker)[:200], "ends too early", true},
		"gzip header only":           {gz(t, asDocker)[:4], "ends too early", true},
		"not a tar":                  {noise, "not a tar archive", false},
		"a short note":               {[]byte("hello, world"), "ends too early", true},
		"not a tar in gzip":          {gz(t, noise), "not a tar archive", false},
		"xz":                         {append([]byte("\xfd7zXZ\x00"), noise...), "compressed with xz", false},
		"bzip2":                      {append([]byte("BZh91AY"), noise...), "compressed with bzip2", false},
		"bad gzip checksum":          {flip(gz(t, asDocker), len(gz(t, asDocker))-6), "damaged", false},
		"damaged zstd":               {flip(zst(t, asDocker), len(zst(t, asDocker))-1), "damaged", false},
		"blob with another digest":   {bytes.Replace(asOCI, []byte("one file"), []byte("One file"), 1), "has another digest", false},
		"oci without a layer":        {without(oci(t, containerdName, here), blobOf(layer).name), "lacks a part of docker.io/library/redis:7", false},
		"oci without an index":       {without(oci(t, containerdName, here), "index.json"), "incomplete: missing index.json", false},
		"docker without a layer":     {without(docker(t, here), "layer.tar"), "incomplete", false},
		"docker without a config":    {without(docker(t, here), ".json"), "holds no image", false},
		"a tar of something else":    {tarOf(t, entry{"readme", noise}), "holds no image", false},
		"bad json":                   {tarOf(t, entry{"manifest.json", []byte("{]")}), "not valid", false},
		"json of another kind":       {tarOf(t, entry{"manifest.json", []byte(`"x"`)}), "not valid", false},
		"no name":                    {tarOf(t, docker(t, sample{text: "x"})...), "no image in the archive has a name", false},
		"only a tag":                 {tarOf(t, oci(t, ociName, sample{names: []string{"latest"}})...), "no image in the archive has a name", false},
		"a name that is none":        {tarOf(t, oci(t, containerdName, sample{names: []string{"UPPER:1"}})...), "is no image name", false},
		"for another machine":        {tarOf(t, docker(t, sample{names: []string{"x:1"}, arch: "s390x"})...), "x:1 is for linux/s390x", false},
		"oci for another machine":    {tarOf(t, oci(t, containerdName, sample{names: []string{"x:1"}, arch: "s390x"})...), "x:1 is for linux/s390x", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := loadFile(t, contentStore(t), put(t, t.TempDir(), "i.tar", c.data))
			var flaw *flaw
			if !errors.As(err, &flaw) {
				t.Fatalf("got %q, %v; want a flaw", got, err)
			}
			if !strings.Contains(err.Error(), c.want) || flaw.cut != c.cut || flaw.cure == "" {
				t.Errorf("got %q (cut %v, cure %q), want %q (cut %v)", err, flaw.cut, flaw.cure, c.want, c.cut)
			}
		})
	}
}

func TestLoadSurvivesTheLeftoversOfAnother(t *testing.T) {
	in := contentStore(t)
	here := sample{names: []string{"redis:7"}, text: strings.Repeat("content", 1000)}
	dir := t.TempDir()
	whole := tarOf(t, oci(t, containerdName, here)...)
	for cut := 600; cut < len(whole); cut += 1500 {
		if _, err := loadFile(t, in, put(t, dir, "cut.tar", whole[:cut])); err == nil && cut < len(whole)-1024 {
			t.Fatalf("cut at %d, no error", cut)
		}
	}
	other := tarOf(t, oci(t, containerdName, sample{names: []string{"redis:8"}, text: "other"})...)
	for _, data := range [][]byte{other, whole, whole} {
		if _, err := loadFile(t, in, put(t, dir, "whole.tar", data)); err != nil {
			t.Error(err)
		}
	}
	spoiled := bytes.Replace(whole, []byte("contentcontent"), []byte("CONTENTcontent"), 1)
	if _, err := loadFile(t, in, put(t, dir, "spoiled.tar", spoiled)); err == nil || !strings.Contains(err.Error(), "another digest") {
		t.Errorf("a blob that the store has already is not checked: %v", err)
	}
}

// full is a content store on a full disk.
type full struct{ content.Store }

var errFull = errors.New("write blob: no space left on device")

func (f full) Writer(context.Context, ...content.WriterOpt) (content.Writer, error) {
	return nil, errFull
}

func TestAFullDiskIsNotTheArchivesFault(t *testing.T) {
	data := tarOf(t, docker(t, sample{names: []string{"x:1"}, text: "x"})...)
	_, err := loadFile(t, full{contentStore(t)}, put(t, t.TempDir(), "x.tar", data))
	var flaw *flaw
	if errors.As(err, &flaw) || !errors.Is(err, errFull) || !strings.Contains(cureOf(err), "free space") {
		t.Errorf("got %v", err)
	}
}

func TestNamesAreThoseTheKubeletAsksFor(t *testing.T) {
	for in, want := range map[string]string{
		"redis": "docker.io/library/redis:latest", "redis:7": "docker.io/library/redis:7", "me/x": "docker.io/me/x:latest",
		"localhost/x:1": "localhost/x:1", "r.example:5000/a/b:c": "r.example:5000/a/b:c",
	} {
		if got, err := normal(in); got != want || err != nil {
			t.Errorf("%s: got %q, %v; want %q", in, got, err, want)
		}
	}
	got, err := aliases("r.example:5000/a/b:c", "sha256:1111111111111111111111111111111111111111111111111111111111111111", "sha256:2222")
	want := []string{"sha256:2222", "r.example:5000/a/b@sha256:1111111111111111111111111111111111111111111111111111111111111111", "r.example:5000/a/b:c"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}
