package cluster_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// bin is the binary under test, which has to be a packaged one.
func bin(t *testing.T) string {
	t.Helper()
	_ = programs(t)
	file := os.Getenv("SKERRY_BIN")
	if file == "" {
		file = "../../bin/skerry"
	}
	file, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// builds makes other builds out of one, without its sources: what they are made of is the same, but for some words.
type builds struct{ dir, tree, launcher, number string }

func newBuilds(t *testing.T, from string) *builds {
	t.Helper()
	b := &builds{dir: t.TempDir()}
	b.run(t, from, "crictl", "--version") // which unpacks all there is
	tree, err := filepath.EvalSymlinks(filepath.Join(b.dir, "data/current"))
	if err != nil {
		t.Skip("the binary under test is not packaged")
	}
	for _, word := range strings.Fields(b.run(t, from, "--version")) {
		if strings.Contains(word, "+k1.") {
			b.number = word
		}
	}
	b.tree, b.launcher = tree, filepath.Join(b.dir, "launcher")
	b.run(t, "go", "build", "-ldflags", "-s -w", "-o", b.launcher, "../../launcher")
	return b
}

// run runs a program with a data directory of its own to its end.
func (b *builds) run(t *testing.T, program string, args ...string) string {
	t.Helper()
	command := exec.Command(program, args...)
	command.Env = append(os.Environ(), "SKERRY_DATA_DIR="+b.dir)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", program, args, err, out)
	}
	return string(out)
}

// make makes a build with a version of its own, in which words are replaced by others of the same length. Its file goes with the test.
func (b *builds) make(t *testing.T, version string, words map[string]string) string {
	t.Helper()
	tree := filepath.Join(b.dir, version)
	b.run(t, "cp", "-a", b.tree, tree)
	program := filepath.Join(tree, "bin/skerry")
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{b.number: version + b.number[len(version):]}
	for from, to := range words {
		all[from] = to
	}
	for from, to := range all {
		if !bytes.Contains(text, []byte(from)) {
			t.Fatalf("the binary does not have %q", from)
		}
		text = bytes.ReplaceAll(text, []byte(from), []byte(to))
	}
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(b.dir, "skerry-"+version)
	b.run(t, "go", "run", "../../scripts/tools/pack", runtime.GOARCH, b.launcher, tree, output)
	return output
}
