package budget

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/skerry-io/skerry/tests/testhost"
)

// Memory in kB of every process of a settled node with one pod: skerry, the pod's shim, pause and program. PSS shares out
// what several processes map; anonymous memory is what only swap could take back.
//
// Raise one only with a new measurement in docs/performance.md and the reason in the commit. slack is for other machines:
// page size, number of cores and a busy neighbour move the numbers by some percent.
const (
	pssBudget       = 270_000
	anonymousBudget = 180_000
	slack           = 1.1

	// settle is how long a node is left alone before it counts as idle; patience how long it may take to come under
	// the budget after that, as the collector runs when it likes.
	settle   = 30 * time.Second
	patience = 2 * time.Minute
)

func TestIdleMemory(t *testing.T) {
	program := binary(t)
	lab := testhost.New(t)
	h := lab.Host("idle", testhost.Program("skerry", program))
	h.Start("skerry", "server")
	kubectl := func(args ...string) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := h.Run(ctx, append([]string{"skerry", "kubectl"}, args...)...)
		return err
	}
	h.Eventually(patience, "a pod can be made", func() error {
		return kubectl("run", "demo", "--image=localhost/skerry/demo:1", "--image-pull-policy=Never")
	})
	if err := kubectl("wait", "--for=condition=Ready", "pod/demo", "--timeout=100s"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(settle)
	var used memory
	testhost.Eventually(t, patience, "the idle node is within its memory budget (see the rule beside the numbers)", func() error {
		var err error
		if used, err = memoryOf(h); err != nil {
			return err
		}
		if used.pss > pssBudget*slack || used.anonymous > anonymousBudget*slack {
			return fmt.Errorf("%s; the budget is PSS %d MB, anonymous %d MB, and a tenth", used, pssBudget/1000, anonymousBudget/1000)
		}
		return nil
	})
	t.Log(used)
}

// memory is in kB.
type memory struct{ processes, pss, anonymous int }

func (m memory) String() string {
	return fmt.Sprintf("%d processes use PSS %d MB, anonymous %d MB", m.processes, m.pss/1000, m.anonymous/1000)
}

// memoryOf adds up all processes of a host but its first, which is the test's own.
func memoryOf(h *testhost.Host) (memory, error) {
	var sum memory
	files, err := filepath.Glob(h.Root() + "/proc/[0-9]*/smaps_rollup")
	if err != nil {
		return sum, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || filepath.Base(filepath.Dir(file)) == "1" {
			continue // a process that has just ended has no memory
		}
		sum.processes++
		sum.pss += field(text, "Pss")
		sum.anonymous += field(text, "Anonymous")
	}
	if sum.processes < 3 {
		return sum, fmt.Errorf("only %d processes run", sum.processes)
	}
	return sum, nil
}

func field(rollup []byte, name string) int {
	found := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB`).FindSubmatch(rollup)
	if found == nil {
		return 0
	}
	kB, _ := strconv.Atoi(string(found[1]))
	return kB
}
