package config

import (
	"slices"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	for line, want := range map[string][2]string{
		"":                               {"", ""},
		"a":                              {"a", ""},
		"a --exec b c":                   {"a c", "--exec b"},
		"--exec=b c -- --name d":         {"c --name d", "--exec=b"},
		"a --skip-start b":               {"a b", "--skip-start"},
		"a --exec":                       {"a", "--exec"},
		"--unknown b":                    {"b", "--unknown"},
		"- a":                            {"a", "-"},
		"--exec --skip-start --name x y": {"y", "--exec --skip-start --name x"},
	} {
		words, flags := Words[Install](strings.Fields(line))
		if !slices.Equal(words, strings.Fields(want[0])) || !slices.Equal(flags, strings.Fields(want[1])) {
			t.Errorf("%q: words %q, flags %q", line, words, flags)
		}
	}
}
