package payload

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// prepare unpacks and holds every file against what was packed.
func prepare(t *testing.T, s Store, p *Payload, from string) string {
	t.Helper()
	dir, err := s.Prepare(p)
	if err != nil {
		t.Fatal(err)
	}
	sameTree(t, dir, from)
	return dir
}

func sameTree(t *testing.T, dir, from string) {
	t.Helper()
	for _, name := range []string{"bin/skerry", "bin/cni", "bin/nft.d/nft", "bin/empty", "bin/bridge"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		want, _ := os.ReadFile(filepath.Join(from, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not as it was packed (%v)", name, err)
		}
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestPrepareUnpacksOnce(t *testing.T) {
	from := tree(t, 1)
	p, s := open(t, archive(t, from)), Store{Dir: filepath.Join(t.TempDir(), "new", "data")}
	if _, ok := s.Find(p); ok {
		t.Error("found before it was unpacked")
	}
	dir := prepare(t, s, p, from)
	before, _ := os.Stat(dir)
	again := prepare(t, s, p, from)
	after, _ := os.Stat(again)
	if dir != again || !os.SameFile(before, after) {
		t.Error("unpacked a second time")
	}
}

func TestPrepareAtOnceInManyPlaces(t *testing.T) {
	from := tree(t, 1)
	path, s := archive(t, from), Store{Dir: filepath.Join(t.TempDir(), "data")}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			p, err := Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Close()
			if _, err := s.Prepare(p); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	p := open(t, path)
	sameTree(t, filepath.Join(s.Dir, p.ID()), from)
	if got := strings.Join(names(t, s.Dir), " "); got != ".lock "+p.ID()+" current" && got != ".lock current "+p.ID() {
		t.Errorf("the store holds %s", got)
	}
}

func TestPrepareRepairsAndClearsUp(t *testing.T) {
	from := tree(t, 1)
	p, s := open(t, archive(t, from)), Store{Dir: t.TempDir()}
	leftover := filepath.Join(s.Dir, scratchMark+p.ID())
	if err := os.MkdirAll(filepath.Join(leftover, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := prepare(t, s, p, from)
	for name, damage := range map[string]func(string) error{
		"a file is short": func(f string) error { return os.Truncate(f, 5) },
		"a file is gone":  os.Remove,
	} {
		if err := damage(filepath.Join(dir, "bin/cni")); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.Find(p); ok {
			t.Errorf("%s, and it was found complete", name)
		}
		prepare(t, s, p, from)
	}
	for _, n := range names(t, s.Dir) {
		if strings.HasPrefix(n, scratchMark) {
			t.Errorf("%s is left", n)
		}
	}
}

func TestPrepareLeavesNothingOfAFailure(t *testing.T) {
	path := archive(t, tree(t, 1))
	b, _ := os.ReadFile(path)
	b[len("launcher")+1000] ^= 1
	p := open(t, save(t, b))
	top := t.TempDir()
	_, err := Store{Dir: filepath.Join(top, "var", "data")}.Prepare(p)
	if !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), "download it again") {
		t.Errorf("a damaged frame gives %v", err)
	}
	if left := names(t, top); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestPrepareOnAFullDisk(t *testing.T) {
	top := t.TempDir()
	if err := syscall.Mount("tmpfs", top, "tmpfs", 0, "size=200k"); err != nil {
		t.Skip("mounting needs root: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(top, 0) })
	p := open(t, archive(t, tree(t, 1)))
	_, err := Store{Dir: filepath.Join(top, "data")}.Prepare(p)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("a full disk gives %v", err)
	}
	if err := (Store{Dir: top}).unpackWithoutLooking(p); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a disk that becomes full gives %v", err)
	}
	if left := names(t, top); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// unpackWithoutLooking fails where another writer takes the room that was there a moment before.
func (s Store) unpackWithoutLooking(p *Payload) error {
	dir := filepath.Join(s.Dir, "x")
	return errors.Join(p.unpackTo(dir), os.RemoveAll(dir))
}

func TestOldVersionsGoUnlessTheyRun(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	version := func(salt uint64) string {
		from := tree(t, salt)
		return prepare(t, s, open(t, archive(t, from)), from)
	}
	there := func(dir string) bool { _, err := os.Stat(dir); return err == nil }

	first := version(1)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	shim := filepath.Join(first, "bin", "shim")
	copyFile(t, sleep, shim)
	running := exec.Command(shim, "60")
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	defer running.Wait()
	defer running.Process.Kill()

	second, third := version(2), version(3)
	if !there(first) || !there(second) || !there(third) {
		t.Error("a version went that runs, that is current or that was before")
	}
	fourth := version(4)
	if there(second) || !there(first) || !there(third) || !there(fourth) {
		t.Error("not exactly the one version went that nobody needs")
	}
	running.Process.Kill()
	running.Wait()
	version(5)
	if there(first) || there(third) {
		t.Error("versions stayed that nobody needs any longer")
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestAWayBackNeedsNoUnpacking(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	from := tree(t, 1)
	old := open(t, archive(t, from))
	prepare(t, s, old, from)
	newer := tree(t, 2)
	prepare(t, s, open(t, archive(t, newer)), newer)
	if _, ok := s.Find(old); !ok {
		t.Fatal("the version before is gone")
	}
	prepare(t, s, old, from)
	if !s.is(currentLink, old.ID()) {
		t.Error("the version that runs is not the current one")
	}
}

func TestAProgramWaitsUntilItIsAskedFor(t *testing.T) {
	from, k := tree(t, 1), small(t)
	k.Later = []string{"bin/cni"}
	var b bytes.Buffer
	if err := k.write(&b, from); err != nil {
		t.Fatal(err)
	}
	p, s := open(t, save(t, b.Bytes())), Store{Dir: filepath.Join(t.TempDir(), "data")}
	dir, err := s.Prepare(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "bin/cni")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it did not wait: %v", err)
	}
	for range 2 {
		if err := s.Add(p, "bin/cni"); err != nil {
			t.Fatal(err)
		}
		sameTree(t, dir, from)
	}
	if err := os.Truncate(filepath.Join(dir, "bin/cni"), 7); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(p, "bin/cni"); err != nil {
		t.Fatal(err)
	}
	sameTree(t, dir, from)
	if err := s.Add(p, "bin/none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
	if all := names(t, s.Dir); len(all) != 3 {
		t.Errorf("more than the version, the link and the lock: %v", all)
	}
}
