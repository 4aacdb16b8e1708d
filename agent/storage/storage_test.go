package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/wire"
)

const folder = "pvc-11111111-2222-3333-4444-555555555555_web_data"

func order() wire.VolumeOrder {
	return wire.VolumeOrder{Folder: folder, Namespace: "web", Claim: "data", UID: "11111111-2222-3333-4444-555555555555", Bytes: 1 << 20}
}

func removal(root string) wire.VolumeOrder {
	return wire.VolumeOrder{Folder: folder, Remove: true, Path: filepath.Join(root, folder), Volume: "pvc-1"}
}

// place is a keeper in a directory of its own, and a server that says the same to all reports.
type place struct {
	*keeper
	root    string
	config  Config
	keep    bool
	down    bool
	reports []wire.VolumeReport
}

func newPlace(t *testing.T) *place {
	t.Helper()
	base := t.TempDir()
	p := &place{root: filepath.Join(base, "storage"), keep: true}
	if err := os.Mkdir(p.root, 0o755); err != nil {
		t.Fatal(err)
	}
	p.config = Config{Dir: p.root, StateFile: filepath.Join(base, "agent", "storage.json"), Log: slog.New(slog.DiscardHandler)}
	p.again(t)
	return p
}

// again is another start of the program.
func (p *place) again(t *testing.T) {
	t.Helper()
	var err error
	if p.keeper, err = open(p.config); err != nil {
		t.Fatal(err)
	}
}

func (p *place) report(_ context.Context, r wire.VolumeReport) (wire.VolumeAnswer, error) {
	if p.down {
		return wire.VolumeAnswer{}, unheardError{errors.New("down")}
	}
	p.reports = append(p.reports, r)
	return wire.VolumeAnswer{Keep: p.keep}, nil
}

func (p *place) path(parts ...string) string {
	return filepath.Join(append([]string{p.root, folder}, parts...)...)
}

func (p *place) mustMake(t *testing.T) {
	t.Helper()
	if err := p.make(t.Context(), order(), p.report); err != nil {
		t.Fatal(err)
	}
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func TestADirectoryIsMadeAndRemoved(t *testing.T) {
	p := newPlace(t)
	p.mustMake(t)
	info, err := os.Stat(p.path())
	if err != nil || info.Mode() != fs.ModeDir|0o777 {
		t.Fatalf("got %v, %v", info.Mode(), err)
	}
	if root, err := os.Stat(p.root); err != nil || root.Mode().Perm() != 0o700 {
		t.Errorf("others than root can look into it: %v, %v", root.Mode(), err)
	}
	if r := p.reports[0]; r.Path != p.path() || r.Trouble != "" || r.UID != order().UID {
		t.Errorf("the report is %v", r)
	}
	if len(p.state.allFresh()) != 0 {
		t.Error("its fate is known, and not noted")
	}
	if err := os.WriteFile(p.path("kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p.path(), 0o2770); err != nil {
		t.Fatal(err)
	}
	p.mustMake(t) // an order that comes twice
	if info, err := os.Stat(p.path()); err != nil || info.Mode().Perm() != 0o770 || !there(p.path("kept")) {
		t.Error("the directory was changed although it was there")
	}
	for range 2 {
		if err := p.remove(t.Context(), removal(p.root), p.report); err != nil {
			t.Fatal(err)
		}
	}
	if there(p.path()) || len(p.reports) != 4 {
		t.Errorf("it is there, or the reports are %v", p.reports)
	}
}

func TestWhatNobodyWantsIsRemovedAgain(t *testing.T) {
	t.Run("the claim is gone when the directory is made", func(t *testing.T) {
		p := newPlace(t)
		p.keep = false
		p.mustMake(t)
		if there(p.path()) || len(p.state.allFresh()) != 0 {
			t.Error("the directory stays")
		}
	})
	t.Run("the claim goes while no server is in reach and the program ends", func(t *testing.T) {
		p := newPlace(t)
		p.down = true
		if err := p.make(t.Context(), order(), p.report); !unheard(err) {
			t.Fatalf("got %v", err)
		}
		p.again(t)
		p.down, p.keep = false, false
		makes, _ := p.divide(nil)
		if len(makes) != 1 {
			t.Fatalf("after a crash it is worked on %v", makes)
		}
		if err := p.make(t.Context(), makes[0], p.report); err != nil {
			t.Fatal(err)
		}
		if makes, _ = p.divide(nil); there(p.path()) || len(makes) != 0 {
			t.Error("the directory stays")
		}
	})
	t.Run("but one that was kept once stays", func(t *testing.T) {
		p := newPlace(t)
		p.mustMake(t)
		p.keep = false
		p.mustMake(t)
		if !there(p.path()) {
			t.Error("someone's data is gone")
		}
	})
}

func TestACrashBetweenAnyTwoSteps(t *testing.T) {
	for name, crash := range map[string]func(*place) error{
		"noted, not made": func(p *place) error { return p.state.mark(folder, fresh{Root: p.root, Order: order()}) },
		"made, without its mode": func(p *place) error {
			return errors.Join(p.state.mark(folder, fresh{Root: p.root, Order: order()}), os.Mkdir(p.path(), 0o700))
		},
		"made, not reported": func(p *place) error {
			p.down = true
			err := p.make(context.Background(), order(), p.report)
			p.down = false
			if !unheard(err) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		},
	} {
		p := newPlace(t)
		if err := crash(p); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p.again(t)
		p.mustMake(t)
		if info, err := os.Stat(p.path()); err != nil || info.Mode().Perm() != 0o777 || len(p.state.allFresh()) != 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestVolumesInAnEarlierDirectoryAreRemoved(t *testing.T) {
	p := newPlace(t)
	p.mustMake(t)
	before := p.root
	p.config.Dir = t.TempDir()
	p.again(t)
	if err := p.remove(t.Context(), removal(before), p.report); err != nil || there(p.path()) {
		t.Errorf("it is there, %v", err)
	}
}

func TestADiskThatIsNotMountedIsNotTakenForAnEmptyOne(t *testing.T) {
	p := newPlace(t)
	p.mustMake(t)
	p.reports = nil
	if err := os.Rename(p.root, p.root+".away"); err != nil {
		t.Fatal(err)
	}
	if err := p.remove(t.Context(), removal(p.root), p.report); err == nil || len(p.reports) != 0 {
		t.Errorf("the directory is reported as gone: %v", err)
	}
	p.config.Make = func() error { return os.Mkdir(p.root, 0o700) }
	if _, err := open(p.config); err == nil || there(p.root) {
		t.Errorf("another start takes it for a new one: %v", err)
	}
	if err := os.Remove(p.config.StateFile); err != nil {
		t.Fatal(err)
	}
	if _, err := open(p.config); err != nil || !there(p.root) {
		t.Errorf("a new node does not make it: %v", err)
	}
}

func TestMoreThanTheDiskHoldsIsRefused(t *testing.T) {
	p := newPlace(t)
	o := order()
	o.Bytes = 1 << 60
	if err := p.make(t.Context(), o, p.report); err == nil || !strings.Contains(err.Error(), "1Ei") || there(p.path()) || len(p.state.allFresh()) != 0 {
		t.Errorf("got %v", err)
	}
}

func TestADamagedStateIsAnError(t *testing.T) {
	p := newPlace(t)
	if err := os.WriteFile(p.config.StateFile, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(p.config); err == nil {
		t.Error("it is taken for none")
	}
}
