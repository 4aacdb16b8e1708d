package registries

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

// mark is the first line of the files that are ours to change and remove.
const mark = "# Written from registries.yaml by skerry; changes here are lost.\n"

const fileName = "hosts.toml"

// Write makes dir hold a hosts.toml for each registry of c, and none that an earlier Write left for another. Dir is
// what containerd calls config_path.
func (c Config) Write(dir string) error {
	want := c.render()
	if err := prune(dir, want); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if err := replace(filepath.Join(dir, name, fileName), want[name]); err != nil {
			return err
		}
	}
	return nil
}

// render gives the content of every hosts.toml, by the name of its directory.
func (c Config) render() map[string][]byte {
	files := map[string][]byte{}
	registries := slices.Concat(slices.Collect(maps.Keys(c.Mirrors)), slices.Collect(maps.Keys(c.Configs)))
	for _, registry := range registries {
		dir := registry
		if registry == Any {
			dir = "_default"
		}
		files[dir] = c.file(registry)
	}
	return files
}

// file describes one registry: itself, then its mirrors in the order they are tried. Without a server containerd asks
// the registry itself after all mirrors, by the address that belongs to its name.
func (c Config) file(registry string) []byte {
	var out bytes.Buffer
	out.WriteString(mark)
	writeTLS(&out, c.host("https", registry).TLS)
	m := c.mirror(registry)
	prefix, _ := m.prefix()
	seen := map[string]bool{}
	for _, e := range m.Endpoints {
		u, err := parseEndpoint(e)
		if err != nil {
			continue // Load refuses it
		}
		path := strings.TrimSuffix(u.Path, "/")
		if prefix != "" {
			path = strings.TrimSuffix("/"+strings.Trim(orElse(path, "v2"), "/"), "/") + "/" + prefix
		}
		address := u.Scheme + "://" + u.Host + path
		if seen[address] {
			continue
		}
		seen[address] = true
		fmt.Fprintf(&out, "\n[host.%q]\ncapabilities = [\"pull\", \"resolve\"]\n", address)
		if path != "" {
			out.WriteString("override_path = true\n")
		}
		if u.Scheme == "https" { // with settings for TLS containerd would try https at an http address
			writeTLS(&out, c.host(u.Scheme, u.Host).TLS)
		}
	}
	return out.Bytes()
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func writeTLS(out *bytes.Buffer, t *TLS) {
	if t == nil {
		return
	}
	if t.CAFile != "" {
		fmt.Fprintf(out, "ca = %q\n", t.CAFile)
	}
	if t.CertFile != "" {
		fmt.Fprintf(out, "client = [[%q, %q]]\n", t.CertFile, t.KeyFile)
	}
	if t.InsecureSkipVerify {
		out.WriteString("skip_verify = true\n")
	}
}

// prune removes our files of registries that are not wanted.
func prune(dir string, want map[string][]byte) error {
	files, err := filepath.Glob(filepath.Join(dir, "*", fileName))
	if err != nil {
		return err
	}
	for _, file := range files {
		registry := filepath.Dir(file)
		if _, keep := want[filepath.Base(registry)]; keep {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(text, []byte(mark)) {
			continue // not ours
		}
		if err := os.Remove(file); err != nil {
			return fault.New("remove the settings of a registry").Because(err)
		}
		_ = os.Remove(registry) // stays when something else is in it
	}
	return nil
}

// replace writes a file whole, if it differs and is ours.
func replace(path string, text []byte) error {
	old, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(old, text):
		return nil
	case err == nil && !bytes.HasPrefix(old, []byte(mark)):
		return fault.New("write %s: someone else wrote it", path).Fix("remove it, or leave this registry out of registries.yaml")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(path, text, 0o644)
}
