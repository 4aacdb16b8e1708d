package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Total counts tests.
type Total struct {
	Passed, Failed, Skipped int
}

// String is the last line.
func (t Total) String() string {
	text := fmt.Sprintf("%d passed, %d failed", t.Passed, t.Failed)
	if t.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", t.Skipped)
	}
	return text
}

// event is one line of `go test -json`. The script that runs several go commands adds the action "command-failed", and at the end "complete".
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build
	Test       string
	Output     string
	Elapsed    float64
}

// reader keeps what may have to be shown later.
type reader struct {
	out    io.Writer
	total  Total
	output map[string]*strings.Builder // by package and test
	parent map[string]bool             // tests that have subtests
	told   map[string]bool             // tests with a failed subtest
	broken map[string]bool             // packages with a failed test

	complete bool // all commands were run
}

// Read follows the events to their end, writes about each top-level test as it ends, and counts.
func Read(in io.Reader, out io.Writer) (Total, error) {
	r := &reader{out: out, output: map[string]*strings.Builder{}, parent: map[string]bool{}, told: map[string]bool{}, broken: map[string]bool{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if err == io.EOF {
			if !r.complete {
				r.total.Failed++
				fmt.Fprintln(out, "FAIL  the tests were broken off")
			}
			return r.total, nil
		}
		if err != nil {
			return r.total, fmt.Errorf("read the events: %w", err)
		}
	}
}

func (r *reader) line(text string) {
	var e event
	if json.Unmarshal([]byte(text), &e) != nil {
		fmt.Fprint(r.out, text) // a tool's own words
		return
	}
	if e.Package == "" {
		e.Package = e.ImportPath
	}
	key := e.Package + " " + e.Test
	switch e.Action {
	case "run":
		for at := strings.LastIndex(e.Test, "/"); at > 0; at = strings.LastIndex(e.Test[:at], "/") {
			r.parent[e.Package+" "+e.Test[:at]] = true
		}
	case "output", "build-output":
		if r.output[key] == nil {
			r.output[key] = &strings.Builder{}
		}
		r.output[key].WriteString(e.Output)
	case "pass", "fail", "skip", "build-fail":
		r.ended(e, key)
	case "complete":
		r.complete = true
	case "command-failed":
		if r.total.Failed == 0 {
			r.total.Failed++
			fmt.Fprintf(r.out, "FAIL  a go command failed before it ran a test\n")
		}
	}
}

func (r *reader) ended(e event, key string) {
	switch {
	case e.Test == "":
		bad := e.Action != "pass" && e.Action != "skip"
		if bad && !r.broken[e.Package] { // it did not build, or ended in the middle
			r.total.Failed++
			r.show("FAIL", e, r.unfinished(e.Package))
		}
		r.broken[e.Package] = bad && e.Action == "build-fail" // the same package may be tested once more, in parts
		return
	case e.Action == "fail":
		r.broken[e.Package] = true
	}
	if !r.parent[key] || e.Action == "fail" && !r.told[key] { // of a test with subtests, they count; unless it failed by itself
		r.count(e.Action)
	}
	if at := strings.LastIndex(key, "/"); e.Action == "fail" && strings.Contains(e.Test, "/") {
		r.told[key[:at]] = true
	}
	own := r.text(key)
	switch {
	case e.Action == "fail":
		r.show("FAIL", e, own)
	case e.Action == "skip":
		r.show("skip", e, own)
	case !strings.Contains(e.Test, "/"):
		r.show("ok  ", e, "")
	}
	delete(r.output, key)
}

func (r *reader) count(action string) {
	switch action {
	case "pass":
		r.total.Passed++
	case "fail":
		r.total.Failed++
	case "skip":
		r.total.Skipped++
	}
}

func (r *reader) show(word string, e event, output string) {
	fmt.Fprintf(r.out, "%s  %s %s (%.1fs)\n", word, short(e.Package), e.Test, e.Elapsed)
	for line := range strings.Lines(output) {
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "===") && !strings.HasPrefix(text, "---") {
			fmt.Fprint(r.out, "      ", line)
		}
	}
}

func (r *reader) text(key string) string {
	if b := r.output[key]; b != nil {
		return b.String()
	}
	return ""
}

// unfinished is everything kept about a package, for one that ended without an answer from its tests: first what says why, as a reader may not
// get to the end.
func (r *reader) unfinished(pkg string) string {
	var why, rest strings.Builder
	for _, key := range slices.Sorted(maps.Keys(r.output)) {
		if !strings.HasPrefix(key, pkg+" ") {
			continue
		}
		text := r.text(key)
		delete(r.output, key)
		if at := max(strings.Index("\n"+text, "\npanic: "), strings.Index("\n"+text, "\nfatal error: ")); at >= 0 {
			why.WriteString(text[at:])
			text = text[:at]
		}
		rest.WriteString(text)
	}
	return why.String() + rest.String()
}

// short is a package's path inside the module.
func short(pkg string) string {
	parts := strings.SplitN(pkg, "/", 4)
	return parts[len(parts)-1]
}
