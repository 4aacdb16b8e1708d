package manifests

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

func TestAFolderThatIsAboutToBeMadeIsNoTrouble(t *testing.T) {
	k := New(Config{Dir: filepath.Join(t.TempDir(), "none"), Log: slog.New(slog.DiscardHandler)})
	k.watcher, k.files = newWatcher(k.log), map[string]*manifest{}
	defer k.watcher.close()
	k.look()
	if k.publish(); len(k.State()) != 0 {
		t.Errorf("before the folder was made: %+v", k.State())
	}
	k.opened = true
	if k.publish(); len(k.State()) != 1 {
		t.Errorf("a folder that went: %+v", k.State())
	}
	if err := os.Mkdir(k.config.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	k.look()
	if k.publish(); len(k.State()) != 0 {
		t.Errorf("a folder that is there again: %+v", k.State())
	}
}
