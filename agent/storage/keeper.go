package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"regexp"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// folderForm is what the directory of a volume can be called: no other name is ever made or removed.
var folderForm = regexp.MustCompile(`^pvc-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}_[a-z0-9][a-z0-9.-]*(_[a-z0-9][a-z0-9.-]*)?$`)

// keeper makes and removes directories.
type keeper struct {
	dir   string
	state *state
	quota *quotas
	log   *slog.Logger
}

// reporter tells a server what was done.
type reporter func(context.Context, wire.VolumeReport) (wire.VolumeAnswer, error)

// open notes the storage directory as one that volumes may be removed from.
func open(c Config) (*keeper, error) {
	s, err := load(c.StateFile)
	if err != nil {
		return nil, err
	}
	if err := ensure(c, s.keepsIn(c.Dir)); err != nil {
		return nil, err
	}
	if err := s.addRoot(c.Dir); err != nil {
		return nil, err
	}
	return &keeper{dir: c.Dir, state: s, quota: newQuotas(c.Log), log: c.Log}, nil
}

// ensure has the storage directory there. One that had volumes and is gone is not made anew: its disk may not be mounted, and
// volumes would lie beneath it once it is.
func ensure(c Config, known bool) error {
	if c.Make == nil {
		return os.Chmod(c.Dir, 0o700)
	}
	if !known {
		return c.Make()
	}
	_, err := os.Stat(c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New("the directory is gone in which this node has kept volumes").Because(err).
			Fix("mount its disk; if there is a new one, make the directory: mkdir -p %s", c.Dir)
	}
	return err
}

// divide gives the orders for each hand. A directory whose fate is not known is worked on until a server has said it,
// whether there is still an order for it or not.
func (k *keeper) divide(orders []wire.VolumeOrder) (makes, removes []wire.VolumeOrder) {
	ordered := map[string]bool{}
	for _, o := range orders {
		ordered[o.Folder] = true
		if o.Remove {
			removes = append(removes, o)
		} else {
			makes = append(makes, o)
		}
	}
	for _, f := range k.state.allFresh() {
		if !ordered[f.Order.Folder] {
			makes = append(makes, f.Order)
		}
	}
	return makes, removes
}

// make makes the directory of a volume, and removes it again if nobody wants it any more.
func (k *keeper) make(ctx context.Context, o wire.VolumeOrder, report reporter) error {
	if !folderForm.MatchString(o.Folder) {
		return fmt.Errorf("%q is no name of a volume's directory", o.Folder)
	}
	root := k.dir
	if f, there := k.state.fresh(o.Folder); there {
		root = f.Root // the setting may have changed since
	}
	enforced, err := k.prepare(root, o)
	if err != nil {
		return err
	}
	o.Path = filepath.Join(root, o.Folder)
	answer, err := report(ctx, wire.VolumeReport{VolumeOrder: o, Enforced: enforced})
	if err != nil {
		return err
	}
	if _, there := k.state.fresh(o.Folder); there && !answer.Keep {
		if err := k.discard(ctx, root, o.Folder); err != nil {
			return err
		}
	}
	return k.state.unmark(o.Folder)
}

// prepare has the directory on disk when it returns.
func (k *keeper) prepare(root string, o wire.VolumeOrder) (enforced bool, err error) {
	at, err := openRoot(root)
	if err != nil {
		return false, err
	}
	defer at.Close()
	size, err := sizeOf(at)
	if err != nil {
		return false, err
	}
	if uint64(max(o.Bytes, 0)) > size {
		return false, fmt.Errorf("the volume is to hold %s, and the file system of %s holds %s", human(o.Bytes), root, human(int64(min(size, math.MaxInt64))))
	}
	there, err := exists(at, o.Folder)
	if err != nil {
		return false, err
	}
	if !there {
		o.Path = ""
		if err := k.state.mark(o.Folder, fresh{Root: root, Order: o}); err != nil {
			return false, err
		}
	}
	dir, err := makeFolder(at, o.Folder)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	enforced, err = k.quota.limit(at, dir, o.Bytes)
	return enforced, errors.Join(err, dir.Sync(), at.Sync())
}

// human writes bytes as in a claim.
func human(bytes int64) string { return resource.NewQuantity(bytes, resource.BinarySI).String() }

// remove removes the directory of a volume with all that is in it.
func (k *keeper) remove(ctx context.Context, o wire.VolumeOrder, report reporter) error {
	root, folder := filepath.Split(o.Path)
	root = filepath.Clean(root)
	switch {
	case folder != o.Folder || !folderForm.MatchString(folder):
		return fmt.Errorf("%q is no directory of a volume; remove it by hand", o.Path)
	case !k.state.keepsIn(root):
		return fmt.Errorf("%s is not known as a directory of this node's volumes; remove %s by hand", root, o.Path)
	}
	if err := k.discard(ctx, root, folder); err != nil {
		return err
	}
	if err := k.state.unmark(folder); err != nil {
		return err
	}
	_, err := report(ctx, wire.VolumeReport{VolumeOrder: o})
	return err
}

// discard removes a directory; that there is none is as good.
func (k *keeper) discard(ctx context.Context, root, folder string) error {
	at, err := openRoot(root)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the directory %s is not there; is its disk mounted?", root)
	}
	if err != nil {
		return err
	}
	defer at.Close()
	dir, err := openFolder(at, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	project := k.quota.projectOf(at, dir)
	if err := errors.Join(empty(ctx, dir, filepath.Join(root, folder)), dir.Close()); err != nil {
		return err
	}
	if err := removeFolder(at, folder); err != nil {
		return err
	}
	k.quota.release(at, project)
	return nil
}
