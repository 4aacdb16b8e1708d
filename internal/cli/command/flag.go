package command

import (
	"flag"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/skerry-io/skerry/internal/config"
)

// settingFlag shows a setting in the help. It parses nothing: package config does.
type settingFlag struct {
	config.Setting
}

var _ cli.VisibleFlag = settingFlag{}

func flagsOf(settings []config.Setting) []cli.Flag {
	flags := make([]cli.Flag, len(settings))
	for i, s := range settings {
		flags[i] = settingFlag{s}
	}
	return flags
}

// Apply does nothing: the command does not parse flags.
func (f settingFlag) Apply(*flag.FlagSet) error { return nil }

// Names gives the long and the short name.
func (f settingFlag) Names() []string {
	if f.Short == "" {
		return []string{f.Key}
	}
	return []string{f.Key, f.Short}
}

// IsSet is never asked: the command does not parse flags.
func (f settingFlag) IsSet() bool { return false }

// IsVisible shows every setting.
func (f settingFlag) IsVisible() bool { return true }

// String is the line of the help: names and value, a tab, then the meaning.
func (f settingFlag) String() string {
	var names strings.Builder
	for i, name := range f.Names() {
		dashes := "--"
		if i > 0 {
			names.WriteString(", ")
			dashes = "-"
		}
		names.WriteString(dashes + name)
	}
	if !f.Switch {
		names.WriteString(" " + strings.ToUpper(strings.ReplaceAll(f.As, " ", "-")))
	}
	return names.String() + "\t" + f.meaning()
}

func (f settingFlag) meaning() string {
	text := f.Help
	if f.List {
		text += "; may be repeated"
	}
	if f.OneOf != nil {
		text += ": " + strings.Join(f.OneOf, " or ")
	}
	if f.Default != "" {
		text += fmt.Sprintf(" (default: %s)", f.Default)
	}
	if f.Env != "" {
		text += fmt.Sprintf(" [$%s]", f.Env)
	}
	return text
}
