package install

import (
	"strings"

	"github.com/skerry-io/skerry/internal/fault"
)

// Words splits a command line as a shell does: at blanks, except within quotes or behind a backslash. Nothing is expanded.
func Words(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	open, escaped := false, false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			open, escaped = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			open, quote = true, r
		case quote == 0 && strings.ContainsRune(" \t\n", r):
			if open {
				words = append(words, word.String())
				word.Reset()
			}
			open = false
		default:
			open = true
			word.WriteRune(r)
		}
	}
	if quote != 0 || escaped {
		return nil, fault.New("the command %q ends within quotes", line).Fix("close them")
	}
	if open {
		words = append(words, word.String())
	}
	return words, nil
}

// CommandLine joins words so that a shell, and Words, take them apart again.
func CommandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsFunc(w, special) {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// special characters mean something to a shell or to systemd.
func special(r rune) bool {
	plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,+@", r)
	return !plain
}

// unitLine joins words for ExecStart=, where systemd also expands $ and %.
func unitLine(words []string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", "$$", "%", "%%")
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsFunc(w, special) {
			quoted[i] = `"` + escape.Replace(w) + `"`
		}
	}
	return strings.Join(quoted, " ")
}
