package install

import (
	"slices"
	"strings"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// kept says whether a variable is kept for the service: Skerry's own, and those that name a proxy.
func kept(name string) bool {
	return strings.HasPrefix(name, "SKERRY_") || slices.Contains([]string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}, strings.ToUpper(name))
}

// mergeEnviron puts the variables of environ that are kept into the text of an environment file. What else the file says
// stays, so that an upgrade without the variables of the first installation does not lose them.
func mergeEnviron(text string, environ []string) (string, error) {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return line == "" })
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		if !kept(name) {
			continue
		}
		if strings.ContainsAny(value, "\n\r\x00") {
			return "", fault.New("%s has more than one line", name).Fix("put it into %s instead", config.DefaultConfigFile)
		}
		line := name + `="` + escaper().Replace(value) + `"`
		if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+"=") }); i >= 0 {
			lines[i] = line
		} else {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "", nil
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// escaper serves systemd and the shell of OpenRC alike: both read double quotes the same way.
func escaper() *strings.Replacer {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")
}

// readEnviron gives the variables of an environment file as NAME=VALUE.
func readEnviron(text string) []string {
	var environ []string
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if words, err := Words(value); err == nil {
			value = strings.Join(words, " ")
		}
		environ = append(environ, name+"="+value)
	}
	return environ
}
