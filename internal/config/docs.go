package config

import (
	"fmt"
	"strings"
)

// Docs is docs/config.md, made from the tags.
func Docs() string {
	var b strings.Builder
	b.WriteString(docsIntro)
	server, agent := Settings[Server](), Settings[Agent]()
	common := Settings[Node]()
	writeTable(&b, "Every node", "Taken by `skerry server` and `skerry agent`.", common)
	writeTable(&b, "Server", "Taken by `skerry server` only.", without(server, common))
	writeCommon(&b)
	writeTable(&b, "Agent", "Taken by `skerry agent` only.", without(agent, common))
	return b.String()
}

const docsIntro = `# Settings

<!-- Made from internal/config by: go test ./internal/config -run Docs -update -->

Every setting has one name. It is a flag (` + "`--node-name pi`" + `), a key in a config file (` + "`node-name: pi`" + `) and a
variable (` + "`SKERRY_NODE_NAME=pi`" + `). Stronger first:

1. flags,
2. ` + "`SKERRY_*`" + ` variables (an empty one counts as not set),
3. drop-in files ` + "`/etc/skerry/config.yaml.d/*.yaml`" + `, later names over earlier ones,
4. the config file ` + "`/etc/skerry/config.yaml`" + ` (another with ` + "`--config`" + `),
5. the default.

A list is written as a YAML list or with commas (` + "`tls-san: [a.example, b.example]`" + `); as a flag it may be given several times.
A stronger source replaces a list; ` + "`tls-san+:`" + ` in a file adds to it. The lists whose names end in ` + "`-arg`" + ` are not split at
commas, because their values hold some; each entry is one flag and its value (` + "`kubelet-arg: [\"v=2\"]`" + `).

An unknown name, a value that cannot be read, or settings that contradict each other stop the start before anything on
the host is touched, and all of them are listed at once. ` + "`skerry config check`" + ` does only that check and prints what is in
force and where it came from. Variables that begin with ` + "`INSTALL_SKERRY_`" + ` belong to the installer. ` + "`SKERRY_PORT*`" + ` and
` + "`SKERRY_SERVICE_*`" + ` are ignored: Kubernetes sets them beside a Service named skerry.
`

func writeTable(b *strings.Builder, title, note string, settings []Setting) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| name | value | default | variable | meaning |\n|---|---|---|---|---|\n", title, note)
	for _, s := range settings {
		fmt.Fprintf(b, "| %s | %s | %s | `%s` | %s |\n", docsName(s), docsValue(s), docsDefault(s), s.Env, strings.ReplaceAll(s.Help, "|", `\|`))
	}
}

// writeCommon names the settings that must stay the same when another machine takes over.
func writeCommon(b *strings.Builder) {
	var names []string
	for _, s := range Settings[Common]() {
		names = append(names, "`"+s.Key+"`")
	}
	fmt.Fprintf(b, "\nThe cluster counts on some of them: other servers, nodes, or what runs there expect a server that takes the place of another one to have the same.\n"+
		"A [backup](backup.md) keeps these, wherever they came from: %s.\n", strings.Join(names, ", "))
}

func docsName(s Setting) string {
	name := "`" + s.Key + "`"
	if s.Short != "" {
		name += ", `-" + s.Short + "`"
	}
	return name
}

func docsValue(s Setting) string {
	value := s.As
	switch {
	case s.Switch:
		value = "true or false"
	case s.OneOf != nil:
		value = strings.Join(s.OneOf, " or ")
	case s.List:
		value = "list of " + s.As
	}
	if s.Secret {
		value += ", secret"
	}
	return value
}

func docsDefault(s Setting) string {
	switch {
	case s.Default != "":
		return "`" + s.Default + "`"
	case s.Switch:
		return "`false`"
	}
	return ""
}

// without leaves out the settings whose keys are in other.
func without(all, other []Setting) []Setting {
	skip := newTable(other).byFlag
	var rest []Setting
	for _, s := range all {
		if skip[s.Key] == nil {
			rest = append(rest, s)
		}
	}
	return rest
}
