package budget

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestLinkedModules: deps.txt lists every module that code of the main program comes from, so that a new one is seen in
// review. Each is code that somebody else can change, that has to be watched for flaws, and that every node carries.
//
// A longer list needs its reason in the message of the commit that changes the file.
func TestLinkedModules(t *testing.T) {
	want := strings.Join(linked(t), "\n") + "\n"
	if *update {
		if err := os.WriteFile("deps.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile("deps.txt")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) == want {
		return
	}
	before, now := strings.Fields(string(have)), strings.Fields(want)
	for _, m := range now {
		if !slices.Contains(before, m) {
			t.Errorf("newly linked: %s", m)
		}
	}
	for _, m := range before {
		if !slices.Contains(now, m) {
			t.Errorf("no longer linked: %s", m)
		}
	}
	t.Error("if that is meant, run: go test ./tests/budget -run LinkedModules -update")
}

// linked asks the go command, for one platform and with the tags of scripts/toolchain, so that the answer is the same on
// every machine.
func linked(t *testing.T) []string {
	t.Helper()
	list := exec.Command("go", "list", "-tags", mainTags(t), "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")
	list.Dir = root
	list.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
	out, err := list.Output()
	if err != nil {
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			t.Fatalf("go list: %v: %s", err, ended.Stderr)
		}
		t.Fatal(err)
	}
	all := strings.Fields(string(out))
	slices.Sort(all)
	return slices.Compact(all)
}

func mainTags(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(root + "/scripts/toolchain")
	if err != nil {
		t.Fatal(err)
	}
	tags := regexp.MustCompile(`(?m)^main_tags="(.*)"`).FindSubmatch(text)
	if tags == nil {
		t.Fatal("scripts/toolchain sets no main_tags")
	}
	return string(tags[1])
}
