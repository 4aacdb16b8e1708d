package host

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func open(t *testing.T, path string) *Ledger {
	t.Helper()
	l, err := Open(path, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // some tests close it themselves
	return l
}

func apply(t *testing.T, l *Ledger, changes ...Change) {
	t.Helper()
	for _, c := range changes {
		if err := l.Apply(c); err != nil {
			t.Fatalf("apply %s %s: %v", c.kind(), c.id(), err)
		}
	}
}

func undoAll(t *testing.T, l *Ledger) Report {
	t.Helper()
	report, err := l.UndoAll(context.Background())
	if err != nil {
		t.Fatalf("undo: %v", err)
	}
	return report
}

func absent(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", path, err)
	}
}

func content(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q (%v), want %q", path, got, err, want)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEntryIsOnDiskBeforeTheChangeIsMade(t *testing.T) {
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, "ledger.jsonl"))
	if err := l.Apply(Dir{Path: filepath.Join(dir, "missing", "child")}); err == nil {
		t.Fatal("a directory without a parent was made")
	}
	text, err := os.ReadFile(l.Path())
	if err != nil || !strings.Contains(string(text), "missing/child") {
		t.Errorf("the change that could not be made is not in the file: %q, %v", text, err)
	}
	undoAll(t, l)
}

func TestRestartWritesNoSecondEntryAndKeepsTheFirstState(t *testing.T) {
	dir := t.TempDir()
	path, target := filepath.Join(dir, "ledger.jsonl"), filepath.Join(dir, "unit")
	write(t, target, "theirs")
	for range 3 {
		l := open(t, path)
		apply(t, l, NewFile(target, []byte("ours"), 0o600))
		if n := len(l.Entries()); n != 1 {
			t.Fatalf("%d entries, want 1", n)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if text, _ := os.ReadFile(path); strings.Count(string(text), "\n") != 1 {
		t.Errorf("the file has more than one line:\n%s", text)
	}
	undoAll(t, open(t, path))
	content(t, target, "theirs")
}

func TestChangedContentSupersedesAndStillRestoresTheFirst(t *testing.T) {
	dir := t.TempDir()
	path, target := filepath.Join(dir, "ledger.jsonl"), filepath.Join(dir, "unit")
	l := open(t, path)
	apply(t, l, NewFile(target, []byte("one"), 0o644), NewFile(target, []byte("two"), 0o644))
	content(t, target, "two")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	if n := len(l.Entries()); n != 1 {
		t.Errorf("%d entries after reopening, want 1", n)
	}
	undoAll(t, l)
	absent(t, target)
}

func TestTornLastLineIsDropped(t *testing.T) {
	for name, tail := range map[string]string{
		"cut in the middle": `{"kind":"dir","id":"/x","chan`,
		"no line end":       `{"kind":"dir","id":"/x","change":{"path":"/x"},"before":{}}`,
		"zeros":             strings.Repeat("\x00", 512),
		"zeros and a line":  strings.Repeat("\x00", 512) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger.jsonl")
			l := open(t, path)
			apply(t, l, File{Path: "/nowhere/a"})
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			whole, _ := os.ReadFile(path)
			write(t, path, string(whole)+tail)
			l = open(t, path)
			apply(t, l, File{Path: "/nowhere/b"})
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if got := open(t, path).Entries(); len(got) != 2 || got[1].ID != "/nowhere/b" {
				t.Errorf("entries after the tear: %v", got)
			}
		})
	}
}

func TestBrokenLineInTheMiddleLosesOnlyItself(t *testing.T) {
	line := func(id string) string {
		text, _ := json.Marshal(Entry{Kind: "file", ID: id, Change: []byte(`{}`), Before: []byte(`{}`)})
		return string(text) + "\n"
	}
	text := line("/a") + "garbage\n" + line("/b")
	entries, good := parseJournal([]byte(text), quiet())
	if len(entries) != 2 || good != len(text) {
		t.Errorf("%d entries, %d of %d bytes good", len(entries), good, len(text))
	}
}

func TestOpenMakesItsDirectoryAndRemoveTakesItAway(t *testing.T) {
	root := t.TempDir()
	l := open(t, filepath.Join(root, "lib", "skerry", "ledger.jsonl"))
	if err := l.MakeDir(filepath.Join(root, "lib", "skerry", "server", "tls"), 0o700, true); err != nil {
		t.Fatal(err)
	}
	undoAll(t, l)
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	absent(t, filepath.Join(root, "lib"))
}

func TestRemoveLeavesADirectoryThatHoldsSomethingElse(t *testing.T) {
	root := t.TempDir()
	l := open(t, filepath.Join(root, "skerry", "ledger.jsonl"))
	write(t, filepath.Join(root, "skerry", "notes"), "mine")
	undoAll(t, l)
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	content(t, filepath.Join(root, "skerry", "notes"), "mine")
	absent(t, l.Path())
}

func TestRemoveRefusesWhileSomethingIsListed(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.jsonl"))
	apply(t, l, File{Path: "/nowhere/a"})
	if err := l.Remove(); err == nil {
		t.Error("a ledger that lists a change was removed")
	}
}

func TestOneFailureDoesNotStopTheOthersAndStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.jsonl")
	l := open(t, path)
	apply(t, l, NewFile(filepath.Join(dir, "a"), []byte("a"), 0o644))
	l.entries = append(l.entries, Entry{Kind: "time-machine", ID: "x", Change: []byte(`{}`), Before: []byte(`{}`)})
	if _, err := l.UndoAll(context.Background()); err == nil || !strings.Contains(err.Error(), "time-machine") {
		t.Errorf("error %v does not name the entry of an unknown kind", err)
	}
	absent(t, filepath.Join(dir, "a"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := open(t, path).Entries(); len(got) != 1 || got[0].Kind != "time-machine" {
		t.Errorf("left in the ledger: %v", got)
	}
}

func TestLiveScopeKeepsFiles(t *testing.T) {
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, "ledger.jsonl"))
	apply(t, l, NewFile(filepath.Join(dir, "a"), []byte("a"), 0o644), Mounts{Under: dir})
	report, err := l.Undo(context.Background(), Live)
	if err != nil || len(report.Undone) != 1 || report.Undone[0].Kind != "mounts" {
		t.Errorf("undone %v, %v", report.Undone, err)
	}
	content(t, filepath.Join(dir, "a"), "a")
	if got := l.Entries(); len(got) != 1 || got[0].Kind != "file" {
		t.Errorf("left in the ledger: %v", got)
	}
}

func TestUndoOrderIsNewestFirstBehindServicesAndProcesses(t *testing.T) {
	var kinds []string
	for _, e := range undoOrder([]Entry{{Kind: "processes"}, {Kind: "service"}, {Kind: "dir"}, {Kind: "link"}, {Kind: "mounts"}}) {
		kinds = append(kinds, e.Kind)
	}
	if got := strings.Join(kinds, " "); got != "service processes mounts link dir" {
		t.Errorf("order: %s", got)
	}
}

func TestSecondOpenSaysWhoHoldsTheLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	l := open(t, path)
	undoAll(t, l) // the lock survives the rewrite
	_, err := Open(path, quiet())
	if !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("second open: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestLockHolder(t *testing.T) {
	locks := "1: POSIX  ADVISORY  WRITE 11 fe:00:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 4711 fe:00:77 0 EOF\n3: FLOCK ADVISORY WRITE 5 fe:00:177 0 EOF\n"
	if got := lockHolder([]byte(locks), 77); got != 4711 {
		t.Errorf("holder %d, want 4711", got)
	}
	if got := lockHolder([]byte(locks), 78); got != 0 {
		t.Errorf("holder %d of an inode that nobody holds", got)
	}
}

func TestEveryKindIsDecodedToItself(t *testing.T) {
	for _, c := range append(Footprint(Layout{}), Sysctl{}, Route{}, File{}, Symlink{}, Service{}) {
		if back := empty(c.kind()); back == nil || back.kind() != c.kind() {
			t.Errorf("kind %q is decoded into %T", c.kind(), back)
		}
	}
}
