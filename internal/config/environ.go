package config

import (
	"slices"
	"strings"

	"github.com/skerry-io/skerry/internal/fault"
)

// parseEnviron reads the variables. An empty one counts as not set, because env files are full of them.
func (t table) parseEnviron(environ []string, problems *fault.Problems) []given {
	var all []given
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		setting, ok := t.byEnv[name]
		if !ok {
			if strings.HasPrefix(name, EnvPrefix) && !foreignVariable(name) {
				unknownVariable(t, name, problems)
			}
			continue
		}
		if value != "" {
			where := "$" + name
			all = append(all, given{setting: setting, texts: []text{{value: value, where: where}}, where: where})
		}
	}
	return all
}

// foreignVariable tells the variables that Kubernetes gives to every container beside a Service named skerry.
func foreignVariable(name string) bool {
	return name == "SKERRY_PORT" || strings.HasPrefix(name, "SKERRY_PORT_") || strings.HasPrefix(name, "SKERRY_SERVICE_")
}

// unknownVariable reports a variable that was meant for this program. The prefix alone does not say so: scripts around
// Skerry have variables of their own, such as SKERRY_BIN, and hand them down to all they start.
func unknownVariable(t table, name string, problems *fault.Problems) {
	if t.skipUnknown {
		return
	}
	if owner, ok := known()[name]; ok {
		problems.Add("", "unknown variable").At("$"+name).Fix("it is a setting of `skerry %s`; unset it here", owner)
		return
	}
	var words []string
	for _, variable := range t.variables() {
		words = append(words, strings.TrimPrefix(variable, EnvPrefix))
	}
	if near := Nearest(strings.TrimPrefix(name, EnvPrefix), words); near != "" {
		problems.Add("", "unknown variable").At("$"+name).Fix("did you mean %s?", EnvPrefix+near)
	}
}
