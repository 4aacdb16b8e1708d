package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	defaultDataDir = "/var/lib/skerry"
	defaultConfig  = "/etc/skerry/config.yaml"
)

// dataDir finds the data directory as the real program will: default < files < environment < flags. It reads no more of the
// configuration than this one key; a mistake in it is for the real program to report, so here it only means the default.
func dataDir(args []string, env func(string) string) (string, error) {
	own := ownArgs(args)
	dir := flagValue(own, "--data-dir", "-d")
	if dir == "" {
		dir = env("SKERRY_DATA_DIR")
	}
	if dir == "" {
		config := flagValue(own, "--config", "-c")
		if config == "" {
			config = env("SKERRY_CONFIG_FILE")
		}
		if config == "" {
			config = defaultConfig
		}
		dir = configured(config)
	}
	if dir == "" {
		dir = defaultDataDir
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the data directory %s: %w", dir, err)
	}
	return absolute, nil
}

// ownArgs leaves out what belongs to kubectl, crictl or ctr, which have flags of the same names.
func ownArgs(args []string) []string {
	if end := slices.IndexFunc(args, endsOwn); end >= 0 {
		return args[:end]
	}
	return args
}

// foreign is the program that the rest of the words belongs to: "kubectl", "crictl", "ctr", or "".
func foreign(args []string) string {
	end := slices.IndexFunc(args, endsOwn)
	if end < 0 || args[end] == "--" {
		return ""
	}
	return filepath.Base(args[end])
}

func endsOwn(word string) bool {
	return word == "--" || slices.Contains([]string{"kubectl", "crictl", "ctr"}, filepath.Base(word))
}

// flagValue is the last value given to a flag by one of its names, as "--name value" or "--name=value".
func flagValue(args []string, names ...string) (value string) {
	for i, arg := range args {
		name, given, joined := strings.Cut(arg, "=")
		switch {
		case !slices.Contains(names, name):
		case joined:
			value = given
		case i+1 < len(args):
			value = args[i+1]
		}
	}
	return value
}

// configured is the data-dir of the configuration file and of the files in the directory beside it; the last one counts.
func configured(config string) (dir string) {
	files := []string{config}
	// The pattern can only be wrong when the path has brackets in it; then the drop-ins are left to the real program.
	dropIns, _ := filepath.Glob(config + ".d/*.yaml")
	for _, f := range append(files, dropIns...) {
		content, err := os.ReadFile(f)
		if err != nil {
			continue // absent, or not for this user to read
		}
		if v := topLevel(string(content), "data-dir"); v != "" {
			dir = v
		}
	}
	return dir
}

// topLevel is the plain value of a key that stands at the beginning of a line of YAML.
func topLevel(yaml, key string) (value string) {
	for line := range strings.Lines(yaml) {
		name, rest, ok := strings.Cut(line, ":")
		if ok && strings.Trim(name, `"'`) == key {
			value = plain(strings.TrimSpace(rest))
		}
	}
	return value
}

// plain takes quotes or a comment away from a YAML value.
func plain(value string) string {
	if value == "" {
		return ""
	}
	if quote := value[0]; quote == '"' || quote == '\'' {
		inside, _, _ := strings.Cut(value[1:], string(quote))
		return inside
	}
	value, _, _ = strings.Cut(value, " #")
	return strings.TrimSpace(value)
}
