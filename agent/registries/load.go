package registries

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// Load reads and checks a file. One that is missing or empty is the zero Config. The error lists every problem
// (fault.Problems) with file and line.
func Load(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil
	}
	if err != nil {
		return Config{}, fault.New("read the registries").Because(err).Fix("let root read %s, or remove it", path)
	}
	return parse(path, data)
}

func parse(path string, data []byte) (Config, error) {
	var c Config
	problems := &fault.Problems{}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		syntax(path, err, problems)
		return Config{}, problems.Err()
	}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		syntax(path, err, problems)
		return Config{}, problems.Err()
	}
	check(c, func(keys ...string) string { return fmt.Sprintf("%s:%d", path, line(&root, keys)) }, problems)
	if err := problems.Err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// syntax notes what the YAML reader complains about, in our words where they are clearer.
func syntax(path string, err error, problems *fault.Problems) {
	lines := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		lines = typed.Errors
	}
	located := regexp.MustCompile(`^line (\d+): (.*)$`)
	unknown := regexp.MustCompile(`^field (\S+) not found in type \S+$`)
	for _, text := range lines {
		where := path
		if m := located.FindStringSubmatch(text); m != nil {
			where, text = path+":"+m[1], m[2]
		}
		m := unknown.FindStringSubmatch(text)
		if m == nil {
			problems.Add("", "%s", plainer(text)).At(where).Fix("mirrors holds endpoint and rewrite by registry, configs holds auth and tls by host")
			continue
		}
		p := problems.Add("", "unknown key %q", m[1]).At(where)
		if near := config.Nearest(m[1], keys()); near != "" {
			p.Fix("did you mean %q?", near)
		} else {
			p.Fix("remove it; known keys are %s", strings.Join(keys(), ", "))
		}
	}
}

// plainer says "cannot unmarshal !!str `x` into bool" without Go.
func plainer(text string) string {
	m := regexp.MustCompile("^cannot unmarshal !!\\w+ ?(`.*`)? ?into (.*)$").FindStringSubmatch(text)
	if m == nil {
		return text
	}
	want := "keys with values"
	switch m[2] {
	case "bool":
		want = "true or false"
	case "string":
		want = "a text"
	case "[]string":
		want = "a list"
	}
	if m[1] == "" {
		return want + " must stand here"
	}
	return want + " must stand here, not " + strings.Trim(m[1], "`")
}

func keys() []string {
	return []string{"mirrors", "configs", "endpoint", "rewrite", "auth", "tls", "username", "password", "identity_token", "ca_file",
		"cert_file", "key_file", "insecure_skip_verify"}
}

// line finds the line of the value that the keys lead to, or of the last of them that is there.
func line(node *yaml.Node, keys []string) int {
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		return line(node.Content[0], keys)
	}
	if len(keys) == 0 {
		return node.Line
	}
	switch node.Kind {
	case yaml.AliasNode:
		return line(node.Alias, keys)
	case yaml.SequenceNode:
		if n, err := strconv.Atoi(keys[0]); err == nil && n < len(node.Content) {
			return line(node.Content[n], keys[1:])
		}
	case yaml.MappingNode:
		for n := 0; n+1 < len(node.Content); n += 2 {
			if key := node.Content[n]; key.Value == keys[0] {
				if len(keys) == 1 {
					return key.Line
				}
				return max(key.Line, line(node.Content[n+1], keys[1:]))
			}
		}
	}
	return node.Line
}
