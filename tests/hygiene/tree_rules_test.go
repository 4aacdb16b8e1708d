package hygiene

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReplaces: whoever replaces a module says why, in a comment on the line, or above the line or its block.
func TestReplaces(t *testing.T) {
	gomod := load(t).texts["go.mod"]
	report(t, replaces(gomod))
	if len(replaces("module x\n\nreplace a => b v1\n")) == 0 {
		t.Error("the rule does not find the bad example")
	}
}

func replaces(gomod string) []string {
	var found []string
	reason, inBlock := false, false
	for line := range strings.Lines(gomod) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "//"):
			reason = true
			continue
		case strings.HasPrefix(line, "replace ("):
			inBlock = reason
			continue
		case line == ")":
			inBlock = false
		case strings.Contains(line, "=>") && !reason && !inBlock && !strings.Contains(line, "//"):
			found = append(found, "go.mod: no reason stands at "+line)
		}
		reason = false
	}
	return found
}

// TestOneKubernetes: the release that the program names, the module and all its parts are the same one.
func TestOneKubernetes(t *testing.T) {
	all := load(t)
	named := regexp.MustCompile(`const Kubernetes = "v1\.(.*)"`).FindStringSubmatch(all.texts["internal/version/version.go"])
	if named == nil {
		t.Fatal("internal/version does not say which Kubernetes is linked in")
	}
	gomod := all.texts["go.mod"]
	if !strings.Contains(gomod, "k8s.io/kubernetes v1."+named[1]+"\n") {
		t.Errorf("internal/version says Kubernetes v1.%s, go.mod another", named[1])
	}
	for _, staging := range regexp.MustCompile(`(k8s\.io/\S+) => \S+ (\S+)`).FindAllStringSubmatch(gomod, -1) {
		if staging[2] != "v0."+named[1] {
			t.Errorf("go.mod: %s is %s, but belongs to Kubernetes v1.%s", staging[1], staging[2], named[1])
		}
	}
}

// machines are names that are true on one machine or in one network only. They are put together here, so that this file
// may hold them.
func machines() map[string]string {
	host := "the address of a registry or mirror is the business of the machine that builds"
	path := "a path of one person's machine"
	return map[string]string{
		"proxy.golang" + ".org": host, "sum.golang" + ".org": host, "goproxy" + ".": host, "deb.debian" + ".org": host,
		"archive.ubuntu" + ".com": host, "ports.ubuntu" + ".com": host, "registry.npmjs" + ".org": host,
		"/wo" + "rk/main": path, "/wo" + "rk/shared": path, "../sha" + "red/": path, "/Us" + "ers/": path,
	}
}

func TestNoMachineIsNamed(t *testing.T) {
	all := load(t)
	all.texts["bad"] = "from https://proxy.golang" + ".org/x"
	report(t, slices.DeleteFunc(named(all.texts, machines()), func(f string) bool { return strings.HasPrefix(f, "bad:") }))
	if len(named(map[string]string{"bad": all.texts["bad"]}, machines())) == 0 {
		t.Error("the rule does not find the bad example")
	}
}

func named(texts, names map[string]string) []string {
	var found []string
	for _, file := range slices.Sorted(maps.Keys(texts)) {
		if file == "go.sum" {
			continue
		}
		for name, why := range names {
			if before, _, hit := strings.Cut(texts[file], name); hit {
				found = append(found, fmt.Sprintf("%s:%d: %q is %s", file, 1+strings.Count(before, "\n"), name, why))
			}
		}
	}
	return found
}

// TestScripts: POSIX shell that stops at the first error, and says what it is for in its second line.
func TestScripts(t *testing.T) {
	for file, text := range load(t).texts {
		if !under(file, "scripts") && file != "install.sh" || !strings.HasPrefix(text, "#!") {
			continue
		}
		report(t, script(file, text))
	}
	if len(script("bad", "#!/bin/bash\necho\n")) < 3 {
		t.Error("the rule does not find the bad example")
	}
}

func script(file, text string) []string {
	lines := strings.SplitN(text, "\n", 3)
	var found []string
	if lines[0] != "#!/bin/sh" {
		found = append(found, file+": is not for /bin/sh, which every machine has")
	}
	if len(lines) < 2 || !strings.HasPrefix(lines[1], "# ") {
		found = append(found, file+": does not say in its second line what it is for")
	}
	sourced := len(lines) > 1 && strings.HasPrefix(lines[1], "# Sourced")
	if !sourced && !strings.Contains(text, "\nset -eu\n") {
		found = append(found, file+": goes on after an error; say set -eu")
	}
	return found
}

// TestDocLinks: a relative link in a document leads to a file of the tree.
func TestDocLinks(t *testing.T) {
	all := load(t)
	for file, text := range all.texts {
		if strings.HasSuffix(file, ".md") {
			report(t, deadLinks(file, text, all.texts))
		}
	}
	if len(deadLinks("docs/x.md", "[a](nowhere.md)", nil)) == 0 {
		t.Error("the rule does not find the bad example")
	}
}
