package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// over is an end that is wanted.
type over struct{}

func (over) Error() string { return "all of it has to start over" }
func (over) Wanted() bool  { return true }

func TestAWantedEndIsNoError(t *testing.T) {
	for name, c := range map[string]struct {
		ends error
		want string
	}{
		"wanted":     {over{}, "level=INFO"},
		"a failure":  {errors.New("broken"), "level=ERROR"},
		"of its own": {nil, "level=ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			g, err := NewGroup(slog.New(slog.NewTextHandler(&out, nil)), Service{Name: "one", Run: func(context.Context, func()) error { return c.ends }})
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Run(t.Context()); err == nil || c.ends != nil && !errors.Is(err, c.ends) {
				t.Errorf("the group gives %v", err)
			}
			if !strings.Contains(out.String(), c.want) || strings.Count(out.String(), "\n") != 1 {
				t.Errorf("the log says %s", &out)
			}
		})
	}
}

func TestFailure(t *testing.T) {
	broken := errors.New("broken")
	if Failure(nil) != nil || Failure(fmt.Errorf("service x: %w", over{})) != nil || !errors.Is(Failure(broken), broken) {
		t.Error("got it wrong")
	}
}

// again is an end after which everything is to begin anew.
type again struct{ over }

func (again) Afresh() bool { return true }

func TestStartsOver(t *testing.T) {
	if StartsOver(nil) || StartsOver(over{}) || !StartsOver(fmt.Errorf("service x: %w", again{})) {
		t.Error("got it wrong")
	}
}
