package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skerry-io/skerry/internal/host"
)

// link makes kubectl, crictl and ctr beside the program. Without force, a command of that name that the host has
// already stays the one that a user gets.
func (i *Installation) link(plan Plan) error {
	if plan.Symlink == "skip" {
		return nil
	}
	for _, name := range []string{"kubectl", "crictl", "ctr"} {
		path := filepath.Join(plan.BinDir, name)
		if plan.Symlink != "force" {
			other, err := foreign(path, plan.Path)
			if err != nil {
				return err
			}
			if other != "" {
				i.tell("no link %s: this host has %s", path, other)
				continue
			}
		}
		if err := i.ledger.Apply(host.Symlink{Path: path, Target: program}); err != nil {
			return fmt.Errorf("link %s: %w", path, err)
		}
	}
	return nil
}

// foreign finds a command with the name of a link that is not our link, empty when there is none.
func foreign(link, path string) (string, error) {
	places := []string{link}
	for _, dir := range filepath.SplitList(path) {
		places = append(places, filepath.Join(dir, filepath.Base(link)))
	}
	for _, place := range places {
		if target, err := os.Readlink(place); err == nil && target == program && filepath.Dir(place) == filepath.Dir(link) {
			continue
		}
		_, err := os.Lstat(place)
		if err == nil {
			return place, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && place == link {
			return "", err
		}
	}
	return "", nil
}
