package budget

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/skerry-io/skerry/tests/testhost"
)

var update = flag.Bool("update", false, "rewrite deps.txt")

const root = "../.."

func TestMain(m *testing.M) { testhost.Main(m) }

// binary is the packaged program, $SKERRY_BIN or bin/skerry; without one the test is skipped.
func binary(t *testing.T) string {
	t.Helper()
	file := os.Getenv("SKERRY_BIN")
	if file == "" {
		file = filepath.Join(root, "bin", "skerry")
	}
	if _, err := os.Stat(file); err != nil {
		t.Skip("there is no packaged binary to measure; make one with: make build")
	}
	return file
}
