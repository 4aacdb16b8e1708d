package config_test

import (
	"flag"
	"os"
	"testing"

	"github.com/skerry-io/skerry/internal/config"
)

var update = flag.Bool("update", false, "rewrite docs/config.md")

func TestDocsAreFresh(t *testing.T) {
	const path = "../../docs/config.md"
	if *update {
		if err := os.WriteFile(path, []byte(config.Docs()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != config.Docs() {
		t.Errorf("%s is stale; run: go test ./internal/config -run Docs -update", path)
	}
}
