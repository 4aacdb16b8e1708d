package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

// What lies in the directory.
const (
	memberFolder = "member" // etcd's own
	lockFile     = "lock"   // held while the directory is used
	joinedFile   = "joined" // the id of the member that has served last, or joins in its place, and where the others are; it stays when the member is gone
	makingFolder = ".new"   // a member that is being made
)

// Exists says that there is a member in a directory.
func Exists(dir string) bool {
	found, err := filepath.Glob(filepath.Join(dir, memberFolder, "wal", "*.wal"))
	return err == nil && len(found) > 0
}

// Lost says that a member has served from a directory and is not there any more. The cluster may go on without it: whoever made a new one
// that joins nobody would begin a second, empty cluster.
func Lost(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, joinedFile))
	return !errors.Is(err, os.ErrNotExist) && !Exists(dir)
}

// mark notes which member has served from the directory, and where clients reach the others.
func (c Config) mark(id string, others []string) error {
	slices.Sort(others)
	note := strings.Join(append([]string{id}, others...), "\n")
	path := filepath.Join(c.Dir, joinedFile)
	if now, err := os.ReadFile(path); err == nil && string(now) == note {
		return nil
	}
	err := durable.Write(path, func(w io.Writer) error {
		_, err := io.WriteString(w, note)
		return err
	})
	if err != nil {
		return c.unusable(err)
	}
	return nil
}

// Was is the id of the member that has served from a directory last, empty when there was none.
func Was(dir string) string {
	id, _ := Config{Dir: dir}.marked()
	return id
}

// somebody is an other of whom it is not known yet where he is.
const somebody = "?"

// marked is what mark has written: an id, and URLs; nothing when no member has served.
func (c Config) marked() (id string, others []string) {
	note, err := os.ReadFile(filepath.Join(c.Dir, joinedFile))
	if lines := strings.Split(string(note), "\n"); err == nil && lines[0] != "" {
		return lines[0], lines[1:]
	}
	return "", nil
}

// lock makes the directory, and sure that no other process uses it. The kernel takes the lock away when the process ends.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New("create the datastore's directory").Because(err).Fix("make %s a directory on a disk that can be written", dir)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.New("lock the datastore's directory").Because(err).Fix("check that the disk is not full or read-only")
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fault.New("%s is in use by another process", dir).Because(err).
			Fix("stop the other server, or give this one a data-dir of its own"), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// inspect clears away a member that was never finished, and reads all of one that is there: etcd would use what is damaged until it
// stumbles, and then end the process. An error is damaged when a new member is the cure.
func (c Config) inspect(ctx context.Context) error {
	if err := os.RemoveAll(filepath.Join(c.Dir, makingFolder)); err != nil {
		return c.unusable(err)
	}
	if why := c.condemned(); why != nil {
		return why
	}
	if !Exists(c.Dir) {
		// Without a log there is no member: what lies here was begun and never finished, or only the log is gone.
		if _, err := os.Stat(c.database()); err == nil && holds(c.database()) {
			return damaged{errors.New("its log is gone")}
		}
		return os.RemoveAll(filepath.Join(c.Dir, memberFolder))
	}
	if err := c.whole(ctx); err != nil && ctx.Err() == nil {
		return c.broken(err)
	}
	return ctx.Err()
}

// whole reads all of the member.
func (c Config) whole(ctx context.Context) error {
	if err := check(ctx, c.database()); err != nil {
		return err
	}
	return c.checkLog()
}

func (c Config) database() string { return filepath.Join(c.Dir, memberFolder, "snap", "db") }

// adopt makes a finished member that lies in a folder beside it the one of the directory.
func (c Config) adopt(made string) error {
	if err := durable.Rename(filepath.Join(made, memberFolder), filepath.Join(c.Dir, memberFolder)); err != nil {
		return c.unusable(err)
	}
	return os.RemoveAll(made)
}

// token tells a new cluster from every other, so that members of one that was here before are not taken for its own.
func token() string { return "skerry-" + rand.Text() }

// unusable is the fault of a directory that cannot be used as it is.
func (c Config) unusable(err error) error {
	return fault.New("open the etcd member in %s", c.Dir).Because(err).
		Fix("check that the disk is not full or read-only. If the member is damaged and other servers run, move %s away and start with the setting server, "+
			"without cluster-init: it joins them as a new member. If there is no other, restore a backup", filepath.Join(c.Dir, memberFolder))
}

// refused is the fault of a member that does not start.
func (c Config) refused(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		return fault.New("listen on %s for the datastore", c.Address).Because(err).
			Fix("the ports %d and %d have to be free there: look with `ss -ltnp`, and whether the address is this machine's", c.Tuning.Client, c.Tuning.Peer)
	}
	return c.unusable(err)
}
