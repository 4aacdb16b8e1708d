package shelf

import (
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	prefix    = "skerry-"
	suffix    = ".backup"
	scheduled = "-scheduled"
	// stamp is how the time of a backup stands in its name, and part how much of the cluster's fingerprint does.
	stamp = "20060102T150405Z"
	part  = 12
	// Scheme opens the name of a place in S3-compatible storage.
	Scheme = "s3://"
)

// Item is one backup.
type Item struct {
	Name      string    // of its file or object
	Cluster   string    // the beginning of its fingerprint
	Made      time.Time // by its name
	Scheduled bool      // a schedule made it, and its retention may remove it
	Size      int64     // in bytes
}

// Shelf is a place for many backups.
type Shelf interface {
	// List gives the backups that there are, the newest first, of all clusters. Other files are left out.
	List(ctx context.Context) ([]Item, error)
	// Put writes a backup, and gives its size when all of it is there.
	Put(ctx context.Context, name string, fill func(io.Writer) error) (size int64, err error)
	// Open reads one; its size is -1 when that is not known.
	Open(ctx context.Context, name string) (from io.ReadCloser, size int64, err error)
	// Remove takes one away.
	Remove(ctx context.Context, name string) error
	// String names the place.
	String() string
}

// Name is what a backup is called.
func Name(cluster string, made time.Time, bySchedule bool) string {
	name := prefix + cluster[:min(part, len(cluster))] + "-" + made.UTC().Format(stamp)
	if bySchedule {
		name += scheduled
	}
	return name + suffix
}

// parse reads a name, and says whether it is one of a backup.
func parse(name string, size int64) (item Item, ours bool) {
	rest, first := strings.CutPrefix(name, prefix)
	rest, last := strings.CutSuffix(rest, suffix)
	rest, bySchedule := strings.CutSuffix(rest, scheduled)
	cluster, when, cut := strings.Cut(rest, "-")
	made, err := time.Parse(stamp, when)
	return Item{Name: name, Cluster: cluster, Made: made, Scheduled: bySchedule, Size: size}, first && last && cut && err == nil
}

func newestFirst(all []Item) []Item {
	slices.SortFunc(all, func(a, b Item) int { return cmp.Or(b.Made.Compare(a.Made), cmp.Compare(b.Name, a.Name)) })
	return all
}

// Excess are the backups that a retention removes once another was made: those of this cluster that a schedule made, but for the
// newest ones and the one just made, which may have an older name when the clock was set back.
func Excess(all []Item, cluster string, keep int, made string) (gone []Item) {
	left := max(keep, 1) - 1 // the one just made is kept in any case
	for _, item := range newestFirst(slices.Clone(all)) {
		switch {
		case !item.Scheduled || item.Cluster != cluster[:min(part, len(cluster))] || item.Name == made:
		case left > 0:
			left--
		default:
			gone = append(gone, item)
		}
	}
	return gone
}

// At gives the shelf that a place names, and a name where the place is that of one backup: a file, a directory, or
// s3://BUCKET/FOLDER. spool is a directory for what does not fit into memory on its way.
func At(place string, storage Storage, spool string) (s Shelf, name string, err error) {
	if rest, remote := strings.CutPrefix(place, Scheme); remote {
		bucket, folder, _ := strings.Cut(strings.Trim(rest, "/"), "/")
		if strings.HasSuffix(folder, suffix) {
			if folder, name = "", folder; strings.Contains(name, "/") {
				cut := strings.LastIndex(name, "/")
				folder, name = name[:cut], name[cut+1:]
			}
		}
		b, err := newBucket(bucket, folder, storage, spool)
		if err != nil {
			return nil, "", err
		}
		return b, name, nil
	}
	if place == "" {
		return nil, "", fault.New("nothing says where the backup lies").Fix("give a file, a directory, or s3://BUCKET/FOLDER")
	}
	if info, err := os.Stat(place); err == nil && info.IsDir() || strings.HasSuffix(place, "/") {
		return Directory(filepath.Clean(place)), "", nil
	}
	return Directory(filepath.Dir(place)), filepath.Base(place), nil
}
