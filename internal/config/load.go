package config

import (
	"errors"
	"os"
	"reflect"
	"slices"

	"github.com/skerry-io/skerry/internal/fault"
)

// Sources is the world that settings come from, besides the files they name.
type Sources struct {
	// Environ is the environment, as NAME=VALUE.
	Environ []string
	// Hostname names the host; it is the default of node-name. Nil stands for os.Hostname.
	Hostname func() (string, error)
	// KeptName gives the name under which the node of an agent directory has joined, which it keeps when the host gets
	// another name. Nil stands for never.
	KeptName func(agentDir string) (name string, joined bool)
}

// Value is a setting with what is in force and where that came from.
type Value struct {
	Key    string
	Text   string // as a flag would have it; a secret is hidden
	Origin string // "default", file:line, $VARIABLE or --flag; several, joined by ", ", for a list that was added to
	Secret bool
}

// completer fills in what is derived from other settings.
type completer interface {
	complete(src Sources, problems *fault.Problems)
}

// validator checks settings against each other; its error is a *fault.Problems.
type validator interface {
	Validate() error
}

// byDefault is the origin of a value that nobody has set.
const byDefault = "default"

// Load reads T from defaults, config files, the environment and args, each stronger than the one before, completes it
// and checks it. The error is a *fault.Problems with every problem of every source. T is Server, Agent or another
// struct whose fields carry settings tags.
func Load[T any](src Sources, args []string) (T, error) {
	cfg, _, err := load[T](src, args, strictness{})
	return cfg, err
}

// Explain loads as Load does and says of each setting in force where it came from.
func Explain[T any](src Sources, args []string) (T, []Value, error) {
	return load[T](src, args, strictness{})
}

// LoadBeside reads only what T asks for and skips other keys and variables: for commands, such as reset, that work on
// a host whose settings are those of another command. With --data-dir on the command line it needs no file at all, so
// that it works beside a broken one, nor does a T without the setting config. Flags stay strict.
func LoadBeside[T any](src Sources, args []string) (T, error) {
	cfg, _, err := load[T](src, args, strictness{lenient: true})
	return cfg, err
}

// LoadOver reads as LoadBeside does, with this config file, which need not be there, whatever the others say.
func LoadOver[T any](src Sources, args []string, configFile string) (T, error) {
	cfg, _, err := loadOver[T](src, args, configFile)
	return cfg, err
}

func loadOver[T any](src Sources, args []string, configFile string) (T, []Value, error) {
	return load[T](src, args, strictness{lenient: true, file: configFile})
}

// ParseFlags reads T from defaults and args alone, for commands that take no other settings.
func ParseFlags[T any](args []string) (T, error) {
	cfg, _, err := load[T](Sources{}, args, strictness{flagsOnly: true})
	return cfg, err
}

// strictness is how much of the sources is read, and what becomes of what is in them and nobody asked for.
type strictness struct {
	lenient   bool
	flagsOnly bool
	file      string // instead of the one that is named; it need not be there
}

func load[T any](src Sources, args []string, how strictness) (T, []Value, error) {
	var cfg T
	var problems fault.Problems
	if src.Hostname == nil {
		src.Hostname = os.Hostname
	}
	l := loading{
		table:    newTable(Settings[T]()),
		cfg:      reflect.ValueOf(&cfg).Elem(),
		origins:  make(map[string]string),
		problems: &problems,
	}
	l.skipUnknown = how.lenient
	l.read(src, args, how)
	for _, part := range completers(l.cfg) {
		part.complete(src, &problems)
	}
	l.check(any(&cfg))
	l.place()
	if err := problems.Err(); err != nil {
		return cfg, nil, err
	}
	return cfg, l.explain(&cfg), nil
}

// completers is what completes cfg: cfg itself where it says how, or else each part that it is made of. A struct made of two
// parts that both say how has no such method of its own.
func completers(cfg reflect.Value) (all []completer) {
	if c, ok := cfg.Addr().Interface().(completer); ok {
		return []completer{c}
	}
	for i := range cfg.NumField() {
		if f := cfg.Type().Field(i); f.Anonymous && f.IsExported() && f.Type.Kind() == reflect.Struct {
			all = append(all, completers(cfg.Field(i))...)
		}
	}
	return all
}

// loading is one run through the sources.
type loading struct {
	table
	cfg      reflect.Value
	origins  map[string]string // by key; absent: the default is in force
	problems *fault.Problems
}

func (l loading) read(src Sources, args []string, how strictness) {
	l.applyDefaults()
	flags := l.parseFlags(args, l.problems)
	if !how.flagsOnly {
		variables := l.parseEnviron(src.Environ, l.problems)
		if path, named, wanted := l.file(variables, flags, how); wanted {
			l.apply(l.parseFiles(path, named, l.problems))
		}
		l.apply(variables)
	}
	l.apply(flags)
}

// file finds the config file, whether it must be there, and whether one is read at all.
func (l loading) file(variables, flags []given, how strictness) (path string, named, wanted bool) {
	if how.file != "" {
		return how.file, false, true
	}
	_, takesFiles := l.byKey["config"]
	path, named = configFile(append(slices.Clone(variables), flags...))
	return path, named, takesFiles && !(how.lenient && names(flags, "data-dir"))
}

func names(all []given, key string) bool {
	return slices.ContainsFunc(all, func(g given) bool { return g.setting.Key == key })
}

// configFile finds the name of the config file, and whether somebody named it; the last one wins.
func configFile(all []given) (path string, named bool) {
	path = DefaultConfigFile
	for _, g := range all {
		if g.setting.Key == "config" {
			path, named = g.texts[0].value, true
		}
	}
	return path, named
}

func (l loading) applyDefaults() {
	for i := range l.settings {
		s := &l.settings[i]
		if s.Default != "" {
			given{setting: s, texts: []text{{value: s.Default, where: byDefault}}}.store(l.cfg, l.problems)
		}
	}
}

func (l loading) apply(all []given) {
	for _, g := range all {
		g.store(l.cfg, l.problems)
		origin := g.where
		if before, ok := l.origins[g.setting.Key]; ok && g.extend {
			origin = before + ", " + origin
		}
		l.origins[g.setting.Key] = origin
	}
}

// check runs the cross checks. A setting that could not be read is not blamed a second time.
func (l loading) check(cfg any) {
	v, ok := cfg.(validator)
	if !ok {
		return
	}
	var found *fault.Problems
	if !errors.As(v.Validate(), &found) {
		return
	}
	var fresh []*fault.Problem
	for _, p := range found.List() {
		if !l.problems.Has(p.Key) {
			fresh = append(fresh, p)
		}
	}
	l.problems.Append(fresh...)
}

// place gives every problem of a setting the place that set it.
func (l loading) place() {
	for _, p := range l.problems.List() {
		if p.Where == "" && p.Key != "" {
			p.At(l.whereOf(p.Key))
		}
	}
}

// whereOf names the place that set key, or the flag that would.
func (l loading) whereOf(key string) string {
	if origin, ok := l.origins[key]; ok {
		return origin
	}
	return "--" + key
}

func (l loading) explain(cfg any) []Value {
	values := make([]Value, len(l.settings))
	for i, s := range l.settings {
		v := Value{Key: s.Key, Text: s.Text(cfg), Origin: l.origins[s.Key], Secret: s.Secret}
		if v.Origin == "" {
			v.Origin = byDefault
		}
		values[i] = v
	}
	return values
}
