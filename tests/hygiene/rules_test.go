package hygiene

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// rule looks at one file. bad is a file that must not pass, so that a rule that never fails is noticed.
type rule struct {
	name  string
	check func(source) []string
	bad   source
}

// rules are those that need one Go file at a time.
func rules(t *testing.T) []rule {
	t.Helper()
	return []rule{
		{"imports follow the arrows", arrows, example(t, "agent/x.go", `package agent; import _ "github.com/skerry-io/skerry/server"`)},
		{"heavy modules stay in their packages", heavy, example(t, "internal/run/x.go", `package run; import _ "k8s.io/kubernetes/cmd/kubelet/app"`)},
		{"no init functions", inits, example(t, "agent/x.go", `package agent; func init() {}`)},
		{"no package state", state, example(t, "agent/x.go", `package agent; var count int`)},
		{"only main ends the process", exits, example(t, "agent/x.go", `package agent; import "os"; func f() { os.Exit(1) }`)},
		{"only main ends the process, by a logger", exits, example(t, "agent/x.go", `package agent; import "log"; func f() { log.Fatal("no") }`)},
		{"only main ends the process, by a panic", exits, example(t, "agent/x.go", `package agent; func f() { panic("no") }`)},
		{"the environment is read in one place", environment, example(t, "agent/x.go", `package agent; import "os"; func f() string { return os.Getenv("X") }`)},
		{"nothing sleeps", sleeps, example(t, "agent/x.go", `package agent; import "time"; func f() { time.Sleep(1) }`)},
		{"files are short", fileLength, example(t, "agent/x.go", "package agent\n"+strings.Repeat("\n", 400))},
		{"functions are short", functionLength, example(t, "agent/x.go", "package agent\nfunc f() {\n"+strings.Repeat("\n", 60)+"}\n")},
		{"exported names are documented", documented, example(t, "agent/x.go", `package agent; func F() {}`)},
	}
}

func example(t *testing.T, file, text string) source {
	t.Helper()
	s, err := parse(file, text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryFile(t *testing.T) {
	all := load(t)
	for _, r := range rules(t) {
		t.Run(r.name, func(t *testing.T) {
			if len(r.check(r.bad)) == 0 {
				t.Error("the rule does not find the bad example")
			}
			for _, s := range all.code {
				report(t, r.check(s))
			}
		})
	}
}

func report(t *testing.T, findings []string) {
	t.Helper()
	for _, finding := range findings {
		t.Error(finding)
	}
}

// exceptions maps a place to the reason why a rule does not hold there. The place is a folder, a file, or file:name.
type exceptions map[string]string

// covers says that the place, or a folder around it, is excepted.
func (e exceptions) covers(place string) bool {
	for excepted := range e {
		if under(place, excepted) {
			return true
		}
	}
	return false
}

// TestExceptionsAreNeeded: a list of exceptions may only shrink.
func TestExceptionsAreNeeded(t *testing.T) {
	all := load(t)
	for list, e := range map[string]exceptions{"vars": stateExceptions(), "lengths": lengthExceptions(), "environment": environmentExceptions()} {
		for _, place := range slices.Sorted(maps.Keys(e)) {
			file, name, _ := strings.Cut(place, ":")
			if !all.has(file, name) {
				t.Errorf("%s: the exception for %s is for nothing that exists; remove it", list, place)
			}
		}
	}
}

// has says that the tree has a file or folder, and that the name stands in it.
func (all tree) has(place, name string) bool {
	for file, text := range all.texts {
		if under(file, place) && strings.Contains(text, name) {
			return true
		}
	}
	return false
}

// TestPackageDocs: exactly one per package, in doc.go, with its parts; a main package may have it in main.go.
func TestPackageDocs(t *testing.T) {
	report(t, packageDocs(load(t).code))
	bad := []source{example(t, "a/x.go", "// Package a is.\npackage a"), example(t, "b/doc.go", "// Package b is.\npackage b"), example(t, "c/x.go", "package c")}
	if found := packageDocs(bad); len(found) < 5 {
		t.Errorf("the rule finds only %q in the bad example", found)
	}
}

func packageDocs(code []source) []string {
	docs, files := map[string][]source{}, map[string]int{}
	for _, s := range code {
		if strings.HasSuffix(s.ast.Name.Name, "_test") {
			continue // the tests of the package beside it
		}
		if !strings.HasSuffix(s.path, "_test.go") {
			files[s.dir()]++
		} else {
			files[s.dir()] += 0
		}
		if s.ast.Doc != nil {
			docs[s.dir()] = append(docs[s.dir()], s)
		}
	}
	var found []string
	for _, dir := range slices.Sorted(maps.Keys(files)) {
		if len(docs[dir]) != 1 {
			found = append(found, fmt.Sprintf("%s: the package has %d package comments; it needs one, in doc.go", dir, len(docs[dir])))
		}
		for _, s := range docs[dir] {
			found = append(found, partsOf(s, files[dir])...)
		}
	}
	return found
}

// partsOf wants the parts of a package doc: owns, does not know, promises, and where to start when there is a choice.
func partsOf(s source, files int) []string {
	base := s.path[len(s.dir())+1:]
	if s.dir() == "." {
		base = s.path
	}
	if s.inMain() && base == "main.go" {
		return nil
	}
	if base != "doc.go" {
		return []string{s.path + ": the package comment belongs into doc.go"}
	}
	var found []string
	for _, part := range []string{"Owns:", "Does not know:", "Promises:", "Start reading at"} {
		if part == "Start reading at" && files <= 2 {
			continue
		}
		if text := strings.Join(strings.Fields(s.ast.Doc.Text()), " "); !strings.Contains(text, part) {
			found = append(found, fmt.Sprintf("%s: the package comment has no %q", s.path, part))
		}
	}
	return found
}
