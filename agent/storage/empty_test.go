package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/wire"
)

func TestRemovingStaysWhereVolumesAre(t *testing.T) {
	p := newPlace(t)
	outside := t.TempDir()
	precious := filepath.Join(outside, folder, "precious")
	if err := errors.Join(os.Mkdir(filepath.Dir(precious), 0o755), os.WriteFile(precious, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*wire.VolumeOrder){
		"a directory that never had volumes": func(o *wire.VolumeOrder) { o.Path = filepath.Dir(precious) },
		"a path that climbs":                 func(o *wire.VolumeOrder) { o.Path = p.root + "/../" + filepath.Base(outside) + "/" + folder },
		"another name":                       func(o *wire.VolumeOrder) { o.Path = p.root + "/other" },
		"the storage directory":              func(o *wire.VolumeOrder) { o.Path, o.Folder = p.root, "storage" },
		"dots":                               func(o *wire.VolumeOrder) { o.Path, o.Folder = p.root+"/..", ".." },
		"nothing":                            func(o *wire.VolumeOrder) { o.Path, o.Folder = "", "" },
		"a name with a slash":                func(o *wire.VolumeOrder) { o.Folder = folder + "/x"; o.Path = p.path("x") },
	} {
		o := removal(p.root)
		change(&o)
		if err := p.remove(t.Context(), o, p.report); err == nil || !there(precious) || !there(p.root) || len(p.reports) != 0 {
			t.Errorf("%s: %v", name, err)
		}
		o.Remove = false
		if o.Folder != folder && p.make(t.Context(), o, p.report) == nil {
			t.Errorf("%s: it is made", name)
		}
	}
	if err := os.Symlink(filepath.Dir(precious), p.path()); err != nil {
		t.Fatal(err)
	}
	p.reports = nil
	if err := p.remove(t.Context(), removal(p.root), p.report); err == nil || !there(precious) {
		t.Errorf("a link in the place of a volume: %v", err)
	}
	if err := p.make(t.Context(), order(), p.report); err == nil || len(p.reports) != 0 {
		t.Errorf("a link in the place of a volume is taken for one: %v", err)
	}
}

func TestRemovingFollowsNothingThatAPodLeft(t *testing.T) {
	p := newPlace(t)
	p.mustMake(t)
	outside := t.TempDir()
	precious := filepath.Join(outside, "precious")
	if err := errors.Join(
		os.WriteFile(precious, []byte("x"), 0o600),
		os.Symlink(outside, p.path("link")),
		os.Symlink("..", p.path("up")),
		os.Symlink(precious, p.path("file")),
		os.Link(precious, p.path("hard")),
		os.MkdirAll(p.path("a", "b", "c"), 0o700),
		os.Symlink(outside, p.path("a", "b", "link")),
		os.WriteFile(p.path("a", "-rf *\n"), nil, 0),
		unix.Mkfifo(p.path("a", "pipe"), 0o600),
		os.Chmod(p.path("a"), 0),
	); err != nil {
		t.Fatal(err)
	}
	if err := p.remove(t.Context(), removal(p.root), p.report); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(precious); err != nil || string(text) != "x" || there(p.path()) {
		t.Errorf("%q, %v", text, err)
	}
}

func TestDeepAndWideTreesGo(t *testing.T) {
	p := newPlace(t)
	p.mustMake(t)
	at, err := os.Open(p.path())
	if err != nil {
		t.Fatal(err)
	}
	for range 1500 { // its path is longer than any call takes
		if err := unix.Mkdirat(int(at.Fd()), "directory", 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(int(at.Fd()), "directory", unix.O_DIRECTORY, 0)
		if err := errors.Join(err, at.Close()); err != nil {
			t.Fatal(err)
		}
		at = os.NewFile(uintptr(next), "directory")
	}
	_ = at.Close()
	for i := range 1000 {
		if err := os.WriteFile(p.path(fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(p.path(".skerry-removes-1"), 0o700); err != nil { // a name that is used to move things up
		t.Fatal(err)
	}
	if err := p.remove(t.Context(), removal(p.root), p.report); err != nil || there(p.path()) {
		t.Errorf("it is there, %v", err)
	}
}

func TestAPodThatIsStillAtWorkCannotLeadTheRemovalAstray(t *testing.T) {
	p := newPlace(t)
	outside := t.TempDir()
	precious := filepath.Join(outside, "x", "precious")
	if err := errors.Join(os.Mkdir(filepath.Dir(precious), 0o755), os.WriteFile(precious, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	p.mustMake(t)
	var playing sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	playing.Go(func() { // it swaps a directory and a link to another as fast as it can; that its own calls fail does not matter
		for ctx.Err() == nil {
			_ = os.MkdirAll(p.path("d", "x"), 0o777)
			_ = os.WriteFile(p.path("d", "x", "y"), nil, 0o600)
			_ = os.Rename(p.path("d"), p.path("e"))
			_ = os.Symlink(outside, p.path("d"))
			_ = os.Remove(p.path("d"))
		}
	})
	for range 300 {
		_ = p.remove(t.Context(), removal(p.root), p.report)
		_ = os.Mkdir(p.path(), 0o777)
	}
	stop()
	playing.Wait()
	if !there(precious) {
		t.Fatal("files outside the volume are gone")
	}
	if err := p.remove(t.Context(), removal(p.root), p.report); err != nil || there(p.path()) {
		t.Errorf("when all is quiet it stays: %v", err)
	}
}
