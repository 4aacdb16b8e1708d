package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Input lines: "go MODULE VERSION PACKAGE-DIRECTORY MODULE-DIRECTORY", or "file NAME PATH" for what is not a Go module.

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var all collection
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := all.addLine(strings.Fields(lines.Text())); err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if bare := all.withoutLicence(); len(bare) > 0 {
		return fmt.Errorf("no licence found for %s", strings.Join(bare, ", "))
	}
	return all.print(out)
}

// collection is what has been read: who uses which text.
type collection struct {
	seen  map[string]bool     // files that are read already
	parts map[string]bool     // everything named; true when a licence was found for it
	texts map[string]*licence // by what two same texts have in common
}

// licence is one text and everything it is about.
type licence struct {
	body string
	uses map[string][]string // name of the part -> its copyright lines
}

func (c *collection) addLine(words []string) error {
	if c.texts == nil {
		c.seen, c.parts, c.texts = map[string]bool{}, map[string]bool{}, map[string]*licence{}
	}
	switch {
	case len(words) == 5 && words[0] == "go":
		return c.addPackage(words[1]+" "+words[2], words[3], words[4])
	case len(words) == 3 && words[0] == "file":
		return c.addFile(words[1], words[2])
	}
	return fmt.Errorf("not understood")
}

// addPackage reads the licences from the package's directory up to its module's: what a module took from elsewhere has its own.
func (c *collection) addPackage(part, dir, top string) error {
	if _, ok := c.parts[part]; !ok {
		c.parts[part] = false
	}
	for ; ; dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if isLicence(e.Name()) && e.Type().IsRegular() {
				if err := c.addFile(part, filepath.Join(dir, e.Name())); err != nil {
					return err
				}
			}
		}
		if dir == top || !strings.HasPrefix(dir, top) {
			return nil
		}
	}
}

// isLicence tells it by the name; source files that happen to begin with such a word are none.
func isLicence(name string) bool {
	if slices.Contains([]string{".go", ".md5", ".yml", ".yaml", ".json", ".sh", ".tpl", ".header"}, filepath.Ext(name)) {
		return false
	}
	upper := strings.ToUpper(name)
	for _, word := range []string{"LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "PATENTS"} {
		if strings.HasPrefix(upper, word) {
			return true
		}
	}
	return false
}

func (c *collection) addFile(part, path string) error {
	if c.seen[part+" "+path] {
		return nil
	}
	c.seen[part+" "+path] = true
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	body, copyrights := split(string(content))
	c.parts[part] = true
	key := strings.Join(strings.Fields(strings.ToLower(body)), " ")
	l := c.texts[key]
	if l == nil {
		l = &licence{body: body, uses: map[string][]string{}}
		c.texts[key] = l
	}
	if body < l.body { // of two ways to break lines, always the same one
		l.body = body
	}
	for _, line := range copyrights {
		if !slices.Contains(l.uses[part], line) {
			l.uses[part] = append(l.uses[part], line)
		}
	}
	if _, ok := l.uses[part]; !ok {
		l.uses[part] = nil
	}
	return nil
}

// split takes the copyright lines out of a text: what is left is the same for many.
func split(text string) (body string, copyrights []string) {
	var kept []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\r", "")) {
		line = strings.TrimRight(line, " \t\n\f")
		plain := strings.Trim(line, " \t/*#")
		lower := strings.ToLower(plain)
		switch {
		case strings.HasPrefix(lower, "copyright (c)"), strings.HasPrefix(lower, "copyright ©"), isYear(strings.TrimPrefix(lower, "copyright ")):
			copyrights = append(copyrights, plain)
		case lower == "all rights reserved." || lower == "all rights reserved":
		default:
			kept = append(kept, line)
		}
	}
	return strings.Trim(strings.Join(kept, "\n"), "\n"), copyrights
}

// isYear tells whether a text begins with a year.
func isYear(text string) bool {
	return len(text) >= 4 && (text[:2] == "19" || text[:2] == "20") && strings.Trim(text[2:4], "0123456789") == ""
}

func (c *collection) withoutLicence() []string {
	var bare []string
	for part, found := range c.parts {
		if !found {
			bare = append(bare, part)
		}
	}
	slices.Sort(bare)
	return bare
}
