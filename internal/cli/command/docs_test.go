package command_test

import (
	"flag"
	"os"
	"testing"

	"github.com/skerry-io/skerry/internal/cli/command"
)

var update = flag.Bool("update", false, "rewrite docs/commands.md")

func TestDocsAreFresh(t *testing.T) {
	const path = "../../../docs/commands.md"
	if *update {
		if err := os.WriteFile(path, []byte(command.Docs()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != command.Docs() {
		t.Errorf("%s is stale; run: go test ./internal/cli/command -run Docs -update", path)
	}
}

func writeEmpty(path string) error { return os.WriteFile(path, nil, 0o600) }
