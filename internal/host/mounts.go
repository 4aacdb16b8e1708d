package host

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mounts is everything that gets mounted below a path: container file systems, pod volumes. Apply only records it;
// what is mounted there at the first time (a data directory on its own disk) is not ours.
type Mounts struct {
	Under string `json:"under"`
}

type mountsBefore struct {
	Points []string `json:"points,omitempty"`
}

func (m Mounts) kind() string { return "mounts" }
func (m Mounts) id() string   { return m.Under }
func (m Mounts) live() bool   { return true }
func (m Mounts) apply() error { return nil }

func (m Mounts) before(known json.RawMessage) (json.RawMessage, error) {
	mounts, err := mountsUnder(m.Under)
	if err != nil {
		return nil, err
	}
	now := mountsBefore{}
	for _, mount := range mounts {
		now.Points = append(now.Points, mount.Point)
	}
	if known == nil {
		return json.Marshal(now)
	}
	var old mountsBefore
	if err := json.Unmarshal(known, &old); err != nil {
		return nil, err
	}
	old.Points = slices.DeleteFunc(old.Points, func(p string) bool { return !slices.Contains(now.Points, p) })
	return json.Marshal(old)
}

func (m Mounts) undo(ctx context.Context, before json.RawMessage) (string, error) {
	var old mountsBefore
	if err := json.Unmarshal(before, &old); err != nil {
		return "", err
	}
	mounts, err := mountsUnder(m.Under)
	if err != nil {
		return "", err
	}
	var failed []error
	for _, mount := range slices.Backward(mounts) {
		if slices.Contains(old.Points, mount.Point) {
			continue
		}
		if err := errors.Join(ctx.Err(), unmount(mount)); err != nil {
			failed = append(failed, fmt.Errorf("unmount %s: %w", mount.Point, err))
		}
	}
	return "", errors.Join(failed...)
}

// unmount takes a mount off, lazily when it is busy. A network file system is always taken off lazily: its server
// may be gone, and asking it would hang.
func unmount(m mount) error {
	if !m.remote() {
		err := unix.Unmount(m.Point, unix.UMOUNT_NOFOLLOW)
		if err == nil || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			return nil // EINVAL, ENOENT: went with another one
		}
	}
	err := unix.Unmount(m.Point, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// mount is one line of mountinfo.
type mount struct {
	Point     string
	FSType    string
	Options   []string // of the file system: for cgroup v1 the controllers
	Mount     []string // of this mount: ro, nosuid, ...
	Shared    bool     // mounts made in it are seen in other namespaces
	RootInner string   // which part of the file system is seen
}

func (m mount) remote() bool {
	switch m.FSType {
	case "nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "glusterfs":
		return true
	}
	return strings.HasPrefix(m.FSType, "fuse")
}

// mountsUnder lists what is mounted at or below dir, oldest first.
func mountsUnder(dir string) ([]mount, error) {
	all, err := readMounts()
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return slices.DeleteFunc(all, func(m mount) bool { return !under(m.Point, dir) }), nil
}

func readMounts() ([]mount, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return parseMounts(text), nil
}

// parseMounts reads mountinfo (man 5 proc); lines of another shape are passed over.
func parseMounts(text []byte) []mount {
	var mounts []mount
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20) // overlay options are long
	for lines.Scan() {
		left, right, ok := strings.Cut(lines.Text(), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 6 || len(r) < 3 {
			continue
		}
		mounts = append(mounts, mount{
			RootInner: unescape(l[3]),
			Point:     strings.TrimSuffix(unescape(l[4]), "//deleted"),
			Mount:     strings.Split(l[5], ","),
			Shared:    slices.ContainsFunc(l[6:], func(f string) bool { return strings.HasPrefix(f, "shared:") }),
			FSType:    r[0],
			Options:   strings.Split(r[2], ","),
		})
	}
	return mounts
}

// unescape turns the \040 of mountinfo into the byte it stands for.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if b, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(b))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// under says whether path is dir or lies below it.
func under(path, dir string) bool {
	dir = strings.TrimSuffix(dir, "/")
	return path == dir || strings.HasPrefix(path, dir+"/")
}
