package upstream

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Suite is what is taken out of one module.
type Suite struct {
	// Module is where the tests are. Version and Sum are empty for one that go.mod has.
	Module, Version, Sum string
	// Parts are the packages, the one with the tests first.
	Parts []Part
	// Instead are other packages to import for some of the module's.
	Instead map[string]string
	// Without are tests that do not apply, and functions that are given in another way, by their names, with the reason.
	Without map[string]string
}

// Part becomes a package of this project for the time of the test.
type Part struct {
	// From is a folder of the module, and Files are patterns of names in it, which may be none.
	From  string
	Files []string
	// To is a folder below this one. Files of testdata/To belong to it, too.
	To string
}

// home is where the packages are, as long as a test runs.
const home = "github.com/skerry-io/skerry/tests/upstream/"

// build compiles the first part's tests, and gives the program.
func (s Suite) build(t *testing.T) string {
	t.Helper()
	dir, here := t.TempDir(), absolute(t, ".")
	from, overlay, used := s.folder(t), map[string]string{}, map[string]bool{}
	for _, part := range s.Parts {
		for _, file := range glob(t, filepath.Join("testdata", part.To, "*.go")) {
			overlay[filepath.Join(here, part.To, filepath.Base(file))] = absolute(t, file)
		}
		for _, pattern := range part.Files {
			for _, file := range must(t, glob(t, filepath.Join(from, part.From, pattern))) {
				text := s.cut(t, file, used)
				place := filepath.Join(dir, part.To, filepath.Base(file))
				save(t, place, text)
				overlay[filepath.Join(here, part.To, filepath.Base(file))] = place
			}
		}
	}
	for name := range s.Without {
		if !used[name] {
			t.Errorf("%s is not in %s any more; remove it from the suite", name, s.Module)
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(dir, "overlay.json"), text)
	s.modules(t, dir)
	program := filepath.Join(dir, "tests")
	run(t, "go", "test", "-c", "-vet=off", "-mod=readonly", "-modfile="+filepath.Join(dir, "go.mod"), "-overlay="+filepath.Join(dir, "overlay.json"),
		"-o", program, "./"+s.Parts[0].To)
	return program
}

// modules writes a go.mod that has what the tests need besides, of the release that the program's modules are tested with.
func (s Suite) modules(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "go.mod" {
			text = append(append(text, "\nrequire "...), run(t, "go", "list", "-m", "github.com/stretchr/testify")...)
		}
		save(t, filepath.Join(dir, name), text)
	}
}

// folder is where the module lies.
func (s Suite) folder(t *testing.T) string {
	t.Helper()
	var found struct{ Dir, Sum, Error string }
	ask := []string{"list", "-m", "-json", s.Module}
	if s.Version != "" {
		ask = []string{"mod", "download", "-json", s.Module + "@" + s.Version}
	}
	if err := json.Unmarshal(run(t, "go", ask...), &found); err != nil {
		t.Fatal(err)
	}
	if found.Dir == "" || s.Sum != "" && found.Sum != s.Sum {
		t.Fatalf("%s: %+v, want the sum %q", s.Module, found, s.Sum)
	}
	return found.Dir
}

func run(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	var complaint strings.Builder
	c := exec.CommandContext(t.Context(), program, args...)
	c.Stderr = &complaint
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, complaint.String())
	}
	return out
}

func save(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func absolute(t *testing.T, file string) string {
	t.Helper()
	whole, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func must(t *testing.T, files []string) []string {
	t.Helper()
	if len(files) == 0 {
		t.Fatal("a pattern fits no file of the module")
	}
	return files
}
