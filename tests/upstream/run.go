package upstream

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/tests/upstream/engines"
)

// patience is how long a suite may take on an engine.
const patience = 5 * time.Minute

// try runs the tests of a program on an engine, but for those that it lacks; least is how many there are.
func try(t *testing.T, program, engine string, lacks []string, least int) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	args := []string{"-test.v"}
	if len(lacks) > 0 {
		args = append(args, "-test.skip=^("+strings.Join(lacks, "|")+")$")
	}
	c := exec.CommandContext(ctx, program, args...)
	c.Dir, c.Env = t.TempDir(), append(os.Environ(), engines.Variable+"="+engine)
	out, err := c.CombinedOutput()
	passed := 0
	for _, result := range regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+)`).FindAllStringSubmatch(string(out), -1) {
		switch result[1] {
		case "PASS":
			passed++
		case "SKIP":
			t.Errorf("%s is skipped; name it with its reason", result[2])
		case "FAIL":
			t.Errorf("%s failed", result[2])
		}
	}
	if err != nil || passed+len(lacks) < least {
		t.Errorf("%d tests passed, want %d: %v\n%s", passed, least-len(lacks), err, out)
	}
	t.Logf("%d tests passed", passed)
}
