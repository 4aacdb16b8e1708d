package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFileUndo(t *testing.T) {
	for name, c := range map[string]struct {
		before, after string // "" is absent
		change        func(path string) Change
		want          string
		left          bool
	}{
		"ours goes":                     {change: func(p string) Change { return NewFile(p, []byte("ours"), 0o600) }},
		"theirs comes back":             {before: "theirs", change: func(p string) Change { return NewFile(p, []byte("ours"), 0o600) }, want: "theirs"},
		"edited since stays":            {after: "edited", change: func(p string) Change { return NewFile(p, []byte("ours"), 0o600) }, want: "edited", left: true},
		"recorded goes, whatever it is": {after: "written by a component", change: func(p string) Change { return File{Path: p} }},
		"recorded over theirs":          {before: "theirs", after: "written", change: func(p string) Change { return File{Path: p} }, want: "theirs"},
		"placed before the ledger goes": {before: "binary", change: func(p string) Change { return File{Path: p, Placed: true} }},
		"a link goes":                   {change: func(p string) Change { return Symlink{Path: p, Target: "skerry"} }},
		"what a link replaced is back":  {before: "kubectl", change: func(p string) Change { return Symlink{Path: p, Target: "skerry"} }, want: "kubectl"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "thing")
			if c.before != "" {
				write(t, path, c.before)
			}
			l := open(t, filepath.Join(dir, "ledger.jsonl"))
			apply(t, l, c.change(path), c.change(path))
			if c.after != "" {
				write(t, path, c.after)
			}
			report := undoAll(t, l)
			if (len(report.Left) > 0) != c.left {
				t.Errorf("left alone: %v", report.Left)
			}
			if c.want == "" {
				absent(t, path)
			} else {
				content(t, path, c.want)
			}
		})
	}
}

func TestFileModeIsThatOfTheChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "env")
	apply(t, open(t, path+".ledger"), NewFile(path, []byte("secret"), 0o600))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestDirUndo(t *testing.T) {
	root := t.TempDir()
	l := open(t, filepath.Join(root, "ledger.jsonl"))
	theirs, plain, tree := filepath.Join(root, "theirs"), filepath.Join(root, "plain"), filepath.Join(root, "tree")
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	apply(t, l, Dir{Path: theirs, Tree: true}, Dir{Path: plain}, Dir{Path: tree, Tree: true})
	for _, dir := range []string{theirs, plain, tree} {
		write(t, filepath.Join(dir, "file"), "x")
	}
	report := undoAll(t, l)
	content(t, filepath.Join(theirs, "file"), "x")
	content(t, filepath.Join(plain, "file"), "x")
	absent(t, tree)
	if len(report.Left) != 2 {
		t.Errorf("left alone: %v", report.Left)
	}
}

func TestDirThatWasTheirsAndWentIsOursNow(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l := open(t, filepath.Join(root, "ledger.jsonl"))
	apply(t, l, Dir{Path: dir})
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	apply(t, l, Dir{Path: dir})
	undoAll(t, l)
	absent(t, dir)
}
