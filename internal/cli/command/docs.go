package command

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// Docs is docs/commands.md, made from the table of commands.
func Docs() string {
	var b strings.Builder
	b.WriteString(docsIntro)
	group := ""
	for _, c := range Table(Env{}, Actions{}) {
		if c.Category != group {
			group = c.Category
			fmt.Fprintf(&b, "\n## %s\n", group)
		}
		writeCommand(&b, Program, c)
	}
	return b.String()
}

const docsIntro = `# Commands

<!-- Made from internal/cli/command by: go test ./internal/cli/command -run Docs -update -->

Every command answers ` + "`--help`" + `. Exit code 0 is success, 1 a failure, 2 a wrong command line or wrong settings. An error
is printed with its cure; ` + "`status`" + ` also answers 1 when not everything is well ([status.md](status.md)). Called as ` + "`kubectl`, `crictl` or `ctr`" + ` (by a link with that name), the program is that tool.
`

func writeCommand(b *strings.Builder, parent string, c *cli.Command) {
	name := parent + " " + c.Name
	defer func() {
		for _, sub := range c.Subcommands {
			writeCommand(b, name, sub)
		}
	}()
	if len(c.Subcommands) > 0 && len(c.Flags) == 0 { // it only holds them
		return
	}
	line := name
	switch {
	case c.ArgsUsage != "":
		line += " " + c.ArgsUsage
	case c.Category == toolGroup:
		line += " [the tool's own words]"
	case len(c.Flags) > 0:
		line += " [settings]"
	}
	fmt.Fprintf(b, "\n### `%s`\n\n%s%s.\n", line, strings.ToUpper(c.Usage[:1]), c.Usage[1:])
	if len(c.Aliases) > 0 {
		fmt.Fprintf(b, "Also called `%s`.\n", strings.Join(c.Aliases, "`, `"))
	}
	switch c.Name {
	case "server", "agent", "check-config":
		b.WriteString("The settings are those in [config.md](config.md).\n")
		return
	}
	writeFlags(b, c.Flags)
}

func writeFlags(b *strings.Builder, flags []cli.Flag) {
	if len(flags) == 0 {
		return
	}
	b.WriteString("\n| flag | meaning |\n|---|---|\n")
	for _, f := range flags {
		names, meaning, _ := strings.Cut(f.String(), "\t")
		fmt.Fprintf(b, "| `%s` | %s |\n", names, strings.ReplaceAll(meaning, "|", `\|`))
	}
}
