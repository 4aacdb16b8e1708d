package fault_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/fault"
)

func TestFaultSaysWhatWhyAndCure(t *testing.T) {
	err := fault.New("open %s", "x").Because(fs.ErrNotExist).Fix("create %s", "x")
	if got, want := err.Error(), "open x: file does not exist; to cure: create x"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the cause is lost")
	}
}

func TestRecoverTurnsAPanicIntoAnError(t *testing.T) {
	run := func() (err error) {
		defer fault.Recover(&err)
		panic("boom")
	}
	if err := run(); err == nil || !strings.Contains(err.Error(), "panic: boom") {
		t.Errorf("got %v", err)
	}
}

func TestProblems(t *testing.T) {
	var none fault.Problems
	if err := none.Err(); err != nil {
		t.Fatalf("no problem is no error, got %v", err)
	}
	var p fault.Problems
	p.Add("node-ip", "%q is not an address", "x").At("--node-ip").Fix("give an address")
	p.Add("", "unknown")
	if !p.Has("node-ip") || p.Has("token") {
		t.Error("Has is wrong")
	}
	want := "--node-ip: \"x\" is not an address; to cure: give an address\nunknown"
	if got := p.Err().Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var first *fault.Problem
	if !errors.As(p.Err(), &first) || first.Cure() != "give an address" {
		t.Error("errors.As does not reach the problems")
	}
}
