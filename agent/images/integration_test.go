package images

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// daemon is a real containerd in a process of its own.
type daemon struct {
	socket string
	client *client.Client
	cri    cri.ImageServiceClient
}

func startDaemon(t *testing.T) daemon {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("containerd mounts overlays: this test needs root")
	}
	dir, err := os.MkdirTemp("", "skerry") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Mkdir(filepath.Join(dir, "cni"), 0o755); err != nil {
		t.Fatal(err)
	}
	run := exec.Command("/proc/self/exe")
	run.Env = append(os.Environ(), daemonDir+"="+dir)
	run.Stderr = os.Stderr
	run.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // the death of the thread that started it would be its death
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(run.Process.Signal(syscall.SIGTERM), run.Wait()); err != nil {
			t.Errorf("stop containerd: %v", err)
		}
		runtime.UnlockOSThread()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("containerd is not ready: %v", err)
	}
	d := daemon{socket: filepath.Join(dir, "c.sock")}
	if d.client, err = client.New(d.socket, client.WithDefaultNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.client.Close() })
	d.cri = cri.NewImageServiceClient(d.client.Conn().(*grpc.ClientConn))
	return d
}

// names are those the runtime knows.
func (d daemon) names(t *testing.T) []string {
	t.Helper()
	all, err := d.client.ImageService().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, image := range all {
		list = append(list, image.Name)
	}
	return list
}

// ask gives an image as the kubelet sees it, nil for none.
func (d daemon) ask(t *testing.T, name string) *cri.Image {
	t.Helper()
	answer, err := d.cri.ImageStatus(t.Context(), &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: name}})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Image
}

// collect runs containerd's garbage collection.
func (d daemon) collect(t *testing.T) {
	t.Helper()
	l, err := d.client.LeasesService().Create(t.Context(), leases.WithRandomID())
	if err == nil {
		err = d.client.LeasesService().Delete(t.Context(), l, leases.SynchronousDelete)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// importing runs an importer until stop is called, which gives its log.
func importing(t *testing.T, c Config) (i *Importer, stop func() string) {
	t.Helper()
	var log bytes.Buffer
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	i = New(c)
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		if err := i.Run(ctx, sync.OnceFunc(func() { close(ready) })); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		t.Fatal("the importer is not ready")
	}
	return i, func() string { cancel(); running.Wait(); return log.String() }
}

func TestImporterWithContainerd(t *testing.T) {
	d := startDaemon(t)
	dir := t.TempDir()
	program, err := os.ReadFile("/proc/self/exe") // any file serves: it is not run
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Socket: d.socket, Dir: filepath.Join(dir, "images"), StateFile: filepath.Join(dir, "images.json"), Snapshotter: "overlayfs",
		Patience: 20 * time.Second, Log: slog.New(slog.DiscardHandler), Builtin: []Builtin{
			{Name: "localhost/skerry/pause:1", Binary: put(t, dir, "pause", program[:64<<10]), Entrypoint: []string{"/pause"}, User: "65535:65535"},
			{Name: "localhost/skerry/demo:1", Binary: put(t, dir, "demo", program[:8<<20]), Entrypoint: []string{"/demo"}, User: "65534:65534", Ports: []string{"8080/tcp"}},
		}}
	if err := os.Mkdir(c.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Run("built-in images at once", func(t *testing.T) { d.builtins(t, c) })
	t.Run("archives at the start", func(t *testing.T) { d.atStart(t, c) })
	t.Run("bad archives leave nothing", func(t *testing.T) { d.bad(t, c) })
	t.Run("while running, then a restart", func(t *testing.T) { d.running(t, c) })
	t.Run("layers discarded", func(t *testing.T) { d.discarded(t, c) })
}

func (d daemon) builtins(t *testing.T, c Config) {
	began := time.Now()
	only := c
	only.Builtin = c.Builtin[:1]
	if err := New(only).ImportBuiltins(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("the first program alone: %s", time.Since(began))
	for _, round := range []string{"first", "second"} {
		began := time.Now()
		if err := New(c).ImportBuiltins(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s import of two programs: %s", round, time.Since(began))
		for _, name := range []string{"localhost/skerry/pause:1", "localhost/skerry/demo:1"} {
			image := d.ask(t, name)
			if image == nil || !image.Pinned || len(image.RepoDigests) != 1 {
				t.Fatalf("the kubelet sees %s as %v", name, image)
			}
		}
	}
	if image := d.ask(t, "localhost/skerry/pause:1"); image.Uid.GetValue() != 65535 {
		t.Errorf("pause runs as %v", image.Uid)
	}
	d.collect(t)
	if all := d.names(t); len(all) != 6 {
		t.Errorf("names are %q", all)
	}
}

func (d daemon) atStart(t *testing.T, c Config) {
	var want []string
	for n, pack := range []func(*testing.T, []byte) []byte{func(_ *testing.T, data []byte) []byte { return data }, gz, zst} {
		end := []string{".tar", ".tar.gz", ".tar.zst"}[n]
		dockerName, ociName := fmt.Sprintf("docker-%d:1", n), fmt.Sprintf("localhost/oci-%d:1", n)
		put(t, c.Dir, fmt.Sprint("docker-", n, end), pack(t, tarOf(t, docker(t, sample{names: []string{dockerName}, text: dockerName})...)))
		put(t, c.Dir, fmt.Sprint("oci-", n, end), pack(t, tarOf(t, oci(t, containerdName, sample{names: []string{ociName}, text: ociName})...)))
		want = append(want, dockerName, ociName)
	}
	i, stop := importing(t, c)
	for _, name := range want {
		if image := d.ask(t, name); image == nil || !image.Pinned {
			t.Errorf("the kubelet sees %s as %v", name, image)
		}
	}
	if p := i.Problems(); len(p) != 0 {
		t.Errorf("problems: %v", p)
	}
	if log := stop(); strings.Count(log, "image archive imported") != 6 {
		t.Errorf("the log is:\n%s", log)
	}
	d.collect(t)
	for _, name := range want {
		full, _ := normal(name)
		image, err := d.client.GetImage(t.Context(), full)
		if err != nil {
			t.Fatal(err)
		}
		if unpacked, err := image.IsUnpacked(t.Context(), c.Snapshotter); !unpacked || err != nil {
			t.Errorf("%s is not unpacked, %v", name, err)
		}
		if err := d.export(t, full); err != nil {
			t.Errorf("%s cannot be exported: %v", name, err)
		}
	}
}

func (d daemon) bad(t *testing.T, c Config) {
	before := d.names(t)
	c.Dir, c.StateFile = t.TempDir(), filepath.Join(t.TempDir(), "state")
	here := sample{names: []string{"bad:1"}, text: "content of the one file"}
	layout := tarOf(t, oci(t, containerdName, here)...)
	damaged := docker(t, sample{names: []string{"bad:2"}, text: "some other content"})
	damaged[1].data = bytes.Replace(damaged[1].data, []byte("some other"), []byte("SOME OTHER"), 1)
	put(t, c.Dir, "a-cut.tar", layout[:len(layout)/2])
	put(t, c.Dir, "b-digest.tar", bytes.Replace(layout, []byte("one file"), []byte("One file"), 1))
	put(t, c.Dir, "c-layer.tar", tarOf(t, damaged...))
	put(t, c.Dir, "d-good.tar", tarOf(t, docker(t, sample{names: []string{"good:1"}, text: "good"})...))
	for _, e := range []string{"a-cut.tar", "b-digest.tar", "c-layer.tar", "d-good.tar"} {
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(filepath.Join(c.Dir, e), old, old); err != nil {
			t.Fatal(err)
		}
	}
	i, stop := importing(t, c)
	problems := i.Problems()
	log := stop()
	for n, want := range []string{"ends too early", "another digest", "is damaged"} {
		if len(problems) != 3 || !strings.Contains(problems[n].Err.Error(), want) {
			t.Fatalf("problems are %v", problems)
		}
	}
	if strings.Count(log, "WARN") != 3 {
		t.Errorf("the log is:\n%s", log)
	}
	if d.ask(t, "good:1") == nil {
		t.Error("the good one is not there")
	}
	d.collect(t)
	for _, name := range d.names(t) {
		if !slices.Contains(before, name) && !strings.Contains(name, "good") && !strings.HasPrefix(name, "sha256:") || strings.HasPrefix(name, "bad:") {
			t.Errorf("%s is left", name)
		}
	}
}

func (d daemon) running(t *testing.T, c Config) {
	i, stop := importing(t, c)
	data := tarOf(t, docker(t, sample{names: []string{"late:1"}, text: strings.Repeat("late", 1<<20)})...)
	f, err := os.Create(filepath.Join(c.Dir, "late.tar"))
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(data, len(data)/8) {
		if _, err := f.Write(part); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	f.Close()
	written := time.Now()
	for d.ask(t, "late:1") == nil {
		if time.Since(written) > 20*time.Second {
			t.Fatalf("it does not come; problems: %v", i.Problems())
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("there %s after its last byte", time.Since(written))
	if log := stop(); strings.Count(log, "image archive imported") != 1 || strings.Contains(log, "WARN") {
		t.Errorf("the log is:\n%s", log)
	}
	began := time.Now()
	_, stop = importing(t, c)
	t.Logf("nothing changed: ready in %s", time.Since(began))
	if log := stop(); log != "" {
		t.Errorf("the log is:\n%s", log)
	}
}

func (d daemon) discarded(t *testing.T, c Config) {
	c.Dir, c.StateFile, c.DiscardLayers = t.TempDir(), filepath.Join(t.TempDir(), "state"), true
	put(t, c.Dir, "thin.tar", tarOf(t, docker(t, sample{names: []string{"thin:1"}, text: "thin"})...))
	_, stop := importing(t, c)
	stop()
	d.collect(t)
	if image := d.ask(t, "thin:1"); image == nil || !image.Pinned {
		t.Errorf("the kubelet sees it as %v", image)
	}
	if err := d.export(t, "docker.io/library/thin:1"); err == nil {
		t.Error("its packed layer is still there")
	}
	_, stop = importing(t, c)
	if log := stop(); log != "" {
		t.Errorf("imported again:\n%s", log)
	}
}

// export reads all of an image out of the content store.
func (d daemon) export(t *testing.T, name string) error {
	t.Helper()
	image, err := d.client.GetImage(t.Context(), name)
	if err != nil {
		return err
	}
	manifest, err := images.Manifest(t.Context(), image.ContentStore(), image.Target(), image.Platform())
	if err != nil {
		return err
	}
	for _, layer := range manifest.Layers {
		r, err := d.client.ContentStore().ReaderAt(t.Context(), layer)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, io.NewSectionReader(r, 0, r.Size()))
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return nil
}
