package config

import (
	"strings"

	"github.com/skerry-io/skerry/internal/fault"
)

// parseFlags reads --name value, --name=value, -n value and switches. Giving a list flag again adds to it.
func (t table) parseFlags(args []string, problems *fault.Problems) []given {
	var all []given
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		name, value, hasValue := strings.Cut(arg, "=")
		if !strings.HasPrefix(arg, "-") || strings.Trim(name, "-") == "" {
			problems.Add("", "unexpected argument %q", arg).Fix("settings are given as --NAME VALUE")
			continue
		}
		setting, ok := t.byFlag[strings.TrimLeft(name, "-")]
		if !ok {
			unknownFlag(t, name, problems)
			if !hasValue && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
				args = args[1:] // most likely its value: blaming it as well would say the same thing twice
			}
			continue
		}
		switch {
		case hasValue:
		case setting.Switch:
			value = "true"
		case len(args) == 0:
			problems.Add(setting.Key, "needs a value").At("--"+setting.Key).Fix("write --%s VALUE", setting.Key)
			continue
		default:
			value, args = args[0], args[1:]
		}
		all = addFlag(all, setting, value)
	}
	return all
}

// addFlag collects what a list flag was given each time, so that its first use replaces what files and variables say.
func addFlag(all []given, setting *Setting, value string) []given {
	flag := "--" + setting.Key
	t := text{value: value, where: flag}
	if setting.List {
		for i := range all {
			if all[i].setting == setting {
				all[i].texts = append(all[i].texts, t)
				return all
			}
		}
	}
	return append(all, given{setting: setting, texts: []text{t}, where: flag})
}

func unknownFlag(t table, name string, problems *fault.Problems) {
	word := strings.TrimLeft(name, "-")
	p := problems.Add("", "unknown flag").At(name)
	if owner, ok := known()[word]; ok {
		p.Fix("it is a flag of `skerry %s`; remove it", owner)
		return
	}
	if near := Nearest(word, t.keys()); near != "" {
		p.Fix("did you mean --%s?", near)
		return
	}
	p.Fix("remove it; --help lists the flags")
}
