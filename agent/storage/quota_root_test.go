package storage

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/host/nstest"
)

// disk mounts a new file system of 64 MB at the place's storage directory, and skips the test where that cannot be.
func (p *place) disk(t *testing.T, options string, format ...string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "disk")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{append(format, image), {"mount", "-o", "loop," + options, image, p.root}} {
		if _, err := exec.LookPath(args[0]); err != nil {
			t.Skipf("needs the program %s", args[0])
		}
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%v: %v %s; a kernel without CONFIG_QFMT_V2 (ext4) or CONFIG_XFS_QUOTA (xfs) cannot do it", args, err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(p.root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func TestVolumesAreKeptToTheirSize(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	for name, test := range map[string]struct {
		options string
		format  []string
	}{
		"ext4": {"prjquota", []string{"mkfs.ext4", "-q", "-O", "project,quota", "-E", "quotatype=prjquota"}},
		"xfs":  {"prjquota", []string{"mkfs.xfs", "-q", "-f", "--unsupported"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.disk(t, test.options, test.format...)
			two, o := order(), order()
			two.Folder = strings.Replace(folder, "data", "other", 1)
			if err := errors.Join(p.make(t.Context(), o, p.report), p.make(t.Context(), two, p.report)); err != nil {
				t.Fatal(err)
			}
			if !p.reports[0].Enforced || !p.reports[1].Enforced {
				t.Fatalf("the reports are %v", p.reports)
			}
			for _, dir := range []string{p.path(), filepath.Join(p.root, two.Folder)} {
				if err := os.WriteFile(filepath.Join(dir, "half"), bytes.Repeat([]byte("x"), 500<<10), 0o666); err != nil {
					t.Errorf("what fits is refused: %v", err)
				}
			}
			if err := fill(t, p.path("more"), 700<<10); err == nil {
				t.Error("more than the volume's size fits")
			}
			var s unix.Statfs_t
			if err := unix.Statfs(p.path(), &s); err != nil || s.Blocks*uint64(s.Bsize) != 1<<20 {
				t.Errorf("pods see a disk of %d bytes, %v", s.Blocks*uint64(s.Bsize), err)
			}
			if err := p.remove(t.Context(), removal(p.root), p.report); err != nil || there(p.path()) {
				t.Errorf("it is there, %v", err)
			}
			o.Bytes = 8 << 20 // the next volume gets the project that is free now, and its own limit
			if err := p.make(t.Context(), o, p.report); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p.path("much"), bytes.Repeat([]byte("x"), 7<<20), 0o666); err != nil {
				t.Errorf("the limit of a volume that is gone counts: %v", err)
			}
		})
	}
}

// fill writes as a pod does: root with all its rights is not limited on ext4.
func fill(t *testing.T, path string, bytes int) error {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("head", "-c", strconv.Itoa(bytes), "/dev/zero")
	cmd.Stdout = file
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return errors.Join(cmd.Run(), file.Close())
}

func TestWithoutQuotasVolumesAreMadeAllTheSame(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	p := newPlace(t)
	p.disk(t, "noquota", "mkfs.ext4", "-q")
	p.mustMake(t)
	if p.reports[0].Enforced || !there(p.path()) {
		t.Errorf("the reports are %v", p.reports)
	}
}

func TestAMountInAVolumeIsNotEmptied(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	p := newPlace(t)
	p.mustMake(t)
	outside := t.TempDir()
	precious := filepath.Join(outside, "precious")
	if err := errors.Join(
		os.WriteFile(precious, nil, 0o600), os.MkdirAll(p.path("a", "mount"), 0o700), os.WriteFile(p.path("gone"), nil, 0o600),
		unix.Mount(outside, p.path("a", "mount"), "", unix.MS_BIND, ""),
	); err != nil {
		t.Fatal(err)
	}
	if err := p.remove(t.Context(), removal(p.root), p.report); err == nil || !there(precious) || len(p.reports) != 1 {
		t.Errorf("got %v", err)
	}
	if err := unix.Unmount(p.path("a", "mount"), 0); err != nil {
		t.Fatal(err)
	}
	if err := p.remove(t.Context(), removal(p.root), p.report); err != nil || there(p.path()) || !there(precious) {
		t.Errorf("unmounted: %v", err)
	}
	// The whole volume may be a disk of its own.
	p.mustMake(t)
	if err := unix.Mount(outside, p.path(), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := p.remove(t.Context(), removal(p.root), p.report); err == nil || !there(precious) {
		t.Errorf("a mount in the place of a volume: %v", err)
	}
	if err := unix.Unmount(p.path(), 0); err != nil {
		t.Fatal(err)
	}
}
