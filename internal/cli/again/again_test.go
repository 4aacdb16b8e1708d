package again

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skerry-io/skerry/internal/cli/command"
)

// program and diary are set for the process that the test starts; at the diary it finds out how often it ran.
const (
	program = "SKERRY_AGAIN_PROGRAM"
	diary   = "SKERRY_AGAIN_DIARY"
)

// afresh is an end after which the program runs once more.
type afresh struct{}

func (afresh) Error() string { return "the address has changed" }
func (afresh) Wanted() bool  { return true }
func (afresh) Afresh() bool  { return true }

func moved() error {
	return fmt.Errorf("service addresses: %w", afresh{})
}

// TestProgram is the program that starts over; it is no test of its own.
func TestProgram(t *testing.T) {
	if os.Getenv(program) == "" {
		t.Skip("only inside another test")
	}
	env := command.Env{Args: os.Args, Environ: os.Environ(), Executable: os.Executable}
	// As takeNotifySocket does: what the process takes out of its environment is there again after the start.
	if err := os.Unsetenv("NOTIFY_SOCKET"); err != nil {
		t.Fatal(err)
	}
	run := func(context.Context, command.Env, string) error {
		ran, _ := os.ReadFile(os.Getenv(diary))
		line := fmt.Sprintf("pid %d, %q, notify %s\n", os.Getpid(), os.Args[1:], env.Getenv("NOTIFY_SOCKET"))
		if err := os.WriteFile(os.Getenv(diary), append(ran, line...), 0o600); err != nil {
			return err
		}
		if bytes.Count(ran, []byte("\n")) < 2 {
			if os.Getenv(program) == "removed" {
				_ = os.Remove(os.Args[0])
			}
			return moved()
		}
		return nil
	}
	if err := OnMove(run)(t.Context(), env, ""); err != nil {
		t.Error(err)
	}
}

func TestTheProgramRunsOnInTheSameProcess(t *testing.T) {
	for name, mode := range map[string]string{"its file is there": "kept", "its file was removed": "removed"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			copied, told := filepath.Join(dir, "program"), filepath.Join(dir, "diary")
			text, err := os.ReadFile("/proc/self/exe")
			if err == nil {
				err = os.WriteFile(copied, text, 0o755)
			}
			if err != nil {
				t.Fatal(err)
			}
			c := exec.Command(copied, "-test.run=^TestProgram$", "a b", "--node-name=pi")
			c.Env = append(os.Environ(), program+"="+mode, diary+"="+told, "NOTIFY_SOCKET=/run/x")
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			ran, err := os.ReadFile(told)
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("pid %d, %q, notify /run/x\n", c.ProcessState.Pid(), c.Args[1:])
			if string(ran) != strings.Repeat(want, 3) {
				t.Errorf("it ran as\n%s, want three times\n%s", ran, want)
			}
		})
	}
}

func TestOtherEndsAreEnds(t *testing.T) {
	broken := errors.New("disk on fire")
	for name, test := range map[string]struct{ end, want error }{
		"a clean stop": {nil, nil},
		"an error":     {broken, broken},
	} {
		run := func(context.Context, command.Env, int) error { return test.end }
		if err := OnMove(run)(t.Context(), command.Env{}, 0); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestARequestToStopWins(t *testing.T) {
	run := func(ctx context.Context, _ command.Env, _ int) error {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			return err
		}
		<-ctx.Done()
		return moved()
	}
	if err := OnMove(run)(t.Context(), command.Env{}, 0); err != nil {
		t.Errorf("got %v", err)
	}
}
