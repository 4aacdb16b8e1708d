package component

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/skerry-io/skerry/internal/fault"
)

// Flags is what a program is started with, by flag name without dashes.
type Flags map[string]string

// With adds the user's flags, each "name=value" or "name" alone for true. They win over ours, and a later one over an
// earlier one of the same name, except that feature gates are added up.
func (f Flags) With(user []string) Flags {
	all := maps.Clone(f)
	for _, arg := range user {
		name, value, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !given {
			value = "true"
		}
		name = strings.ReplaceAll(name, "_", "-") // upstream takes both
		if had := all[name]; name == "feature-gates" && had != "" {
			value = had + "," + value
		}
		all[name] = value
	}
	return all
}

// Args is the command line, in the order of names so that logs and tests can be compared.
func (f Flags) Args() []string {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		args = append(args, "--"+name+"="+f[name])
	}
	return args
}

// Parse sets a program's options through its own flag sets. setting is the config key the user's part came from.
func (f Flags) Parse(setting string, sets ...*pflag.FlagSet) error {
	all := pflag.NewFlagSet(setting, pflag.ContinueOnError)
	all.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	all.SetOutput(io.Discard) // it would print deprecations and, for --help, hundreds of lines
	for _, set := range sets {
		all.AddFlagSet(set)
	}
	if err := all.Parse(f.Args()); err != nil {
		return fault.New("set the flags from %s", setting).Because(err).
			Fix("remove or correct the entry under %s; flags are those of Kubernetes' own program", setting)
	}
	return nil
}

// Named gives the flag sets of a program that sorts them by subject.
func Named(sets cliflag.NamedFlagSets) []*pflag.FlagSet {
	return slices.Collect(maps.Values(sets.FlagSets))
}

// List writes values as Kubernetes' flags take them, separated by commas.
func List[T fmt.Stringer](values []T) string {
	var words []string
	for _, value := range values {
		words = append(words, value.String())
	}
	return strings.Join(words, ",")
}
