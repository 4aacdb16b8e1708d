package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/skerry-io/skerry/internal/fault"
)

// maxConfigBytes bounds a config file; a larger one is something else by mistake.
const maxConfigBytes = 1 << 20

// parseFiles reads the config file and its drop-ins in their order. Only a file that was named must exist.
func (t table) parseFiles(path string, named bool, problems *fault.Problems) []given {
	all := t.parseFile(path, named, problems)
	dir := path + ConfigDropInSuffix
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			unreadable(dir, err, problems)
		}
		return all
	}
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) == ".yaml" && !strings.HasPrefix(entry.Name(), ".") {
			all = append(all, t.parseFile(filepath.Join(dir, entry.Name()), true, problems)...)
		}
	}
	return all
}

func (t table) parseFile(path string, must bool, problems *fault.Problems) []given {
	content, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return nil
	}
	if err != nil {
		unreadable(path, err, problems)
		return nil
	}
	return t.parseYAML(path, content, problems)
}

// readBounded reads a regular file of reasonable size: a device or a pipe would block or never end.
func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if info.Size() > maxConfigBytes {
		return nil, fmt.Errorf("it has %d bytes, more than %d", info.Size(), maxConfigBytes)
	}
	return os.ReadFile(path)
}

func unreadable(path string, err error, problems *fault.Problems) {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	p := problems.Add("", "cannot be read: %v", err).At(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.Fix("create it, or name another")
	case errors.Is(err, fs.ErrPermission):
		p.Fix("run as root, or make it readable")
	default:
		p.Fix("put a readable file there")
	}
}

// parseYAML reads one document that maps setting names to values. It reports everything wrong in it.
func (t table) parseYAML(path string, content []byte, problems *fault.Problems) []given {
	root, err := decode(content)
	if err != nil {
		syntaxProblem(path, content, err, problems)
		return nil
	}
	if root == nil || isNull(root) {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		problems.Add("", "is %s, not settings", nounOf(root)).At(at(path, root)).Fix("write one `name: value` per line")
		return nil
	}
	var all []given
	seen := make(map[string]int)
	for i := 0; i+1 < len(root.Content); i += 2 {
		name, value := root.Content[i], root.Content[i+1]
		if line, twice := seen[name.Value]; twice && name.Kind == yaml.ScalarNode {
			problems.Add(strings.TrimSuffix(name.Value, "+"), "%q stands in line %d already", name.Value, line).
				At(at(path, name)).Fix("keep one of the two; `name+:` in another file adds to a list")
			continue
		}
		seen[name.Value] = name.Line
		if g, ok := t.parsePair(path, name, value, problems); ok {
			all = append(all, g)
		}
	}
	return all
}

// decode gives the content of the only document, nil when there is none.
func decode(content []byte) (root *yaml.Node, err error) {
	defer fault.Recover(&err) // the parser's own panics, on input nobody thought of
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var first, second yaml.Node
	if err := decoder.Decode(&first); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, err
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, fmt.Errorf("yaml: line %d: a second document begins here", second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(first.Content) != 1 {
		return nil, nil
	}
	return first.Content[0], nil
}

func (t table) parsePair(path string, name, value *yaml.Node, problems *fault.Problems) (given, bool) {
	where := at(path, name)
	key, extend := strings.CutSuffix(name.Value, "+")
	setting, ok := t.byKey[key]
	switch {
	case name.Kind != yaml.ScalarNode:
		problems.Add("", "a name is expected here, not %s", nounOf(name)).At(where).Fix("write `name: value`")
		return given{}, false
	case !ok:
		unknownKey(t, key, where, problems)
		return given{}, false
	case key == "config":
		problems.Add(key, "a config file cannot name the config file").At(where).Fix("remove it; use --config or SKERRY_CONFIG_FILE")
		return given{}, false
	case extend && !setting.List:
		problems.Add(key, "%s+ adds to a list, but %s takes one value", key, key).At(where).Fix("write `%s: VALUE`", key)
		return given{}, false
	}
	texts, ok := t.textsOf(setting, path, value, problems)
	return given{setting: setting, texts: texts, extend: extend, where: where}, ok
}

// textsOf takes the scalars out of a value: one, or those of a sequence for a list.
func (t table) textsOf(s *Setting, path string, value *yaml.Node, problems *fault.Problems) ([]text, bool) {
	value = follow(value)
	items := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode && s.List {
		items = value.Content
	}
	texts := make([]text, 0, len(items))
	for _, item := range items {
		item = follow(item)
		if item.Kind != yaml.ScalarNode || isNull(item) {
			p := problems.Add(s.Key, "%s is %s", s.Key, nounOf(item)).At(at(path, item))
			fixShape(p, s)
			return nil, false
		}
		texts = append(texts, text{value: item.Value, where: at(path, item)})
	}
	return texts, true
}

func fixShape(p *fault.Problem, s *Setting) {
	if s.List {
		p.Fix("write `%s: [A, B]`, or one `- entry` per line; remove the line to keep the default", s.Key)
		return
	}
	p.Fix("write `%s: VALUE`, or remove the line to keep the default", s.Key)
}

func unknownKey(t table, key, where string, problems *fault.Problems) {
	if t.skipUnknown {
		return
	}
	p := problems.Add("", "unknown key %q", key).At(where)
	if owner, ok := known()[key]; ok {
		p.Fix("it is a setting of `skerry %s`; remove it here", owner)
		return
	}
	if near := Nearest(key, t.keys()); near != "" {
		p.Fix("did you mean %q?", near)
		return
	}
	p.Fix("remove it; docs/config.md lists the settings")
}

// lineOf takes the line out of the parser's message. The parser leaves out the first line, and counts from zero when
// it misses something it expected.
func lineOf(err error) (message string, line int) {
	message, line = strings.TrimPrefix(err.Error(), "yaml: "), 1
	m := regexp.MustCompile(`(?s)^line (\d+): (.*)$`).FindStringSubmatch(message)
	if m == nil {
		return message, line
	}
	message = m[2]
	if n, err := strconv.Atoi(m[1]); err == nil {
		line = n
	}
	if strings.HasPrefix(message, "did not find expected") {
		line++
	}
	return message, line
}

// syntaxProblem turns the parser's message into a place and a cure.
func syntaxProblem(path string, content []byte, err error, problems *fault.Problems) {
	message, line := lineOf(err)
	where := path + ":" + strconv.Itoa(line)
	p := problems.Add("", "not valid YAML: %s", message).At(where)
	lines := bytes.Split(content, []byte("\n"))
	tabbed := slices.IndexFunc(lines, func(line []byte) bool {
		return bytes.Contains(line[:len(line)-len(bytes.TrimLeft(line, " \t"))], []byte("\t"))
	})
	if tabbed >= 0 {
		p.At(path + ":" + strconv.Itoa(tabbed+1)).Fix("indent with spaces: this line has a tab")
		return
	}
	p.Fix("write one `name: value` per line, and quote values with special characters")
}

func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func nounOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "empty"
	case n.Kind == yaml.ScalarNode:
		return "a single value"
	}
	return "an alias"
}

func at(path string, n *yaml.Node) string { return path + ":" + strconv.Itoa(n.Line) }
