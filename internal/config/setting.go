package config

import (
	"fmt"
	"reflect"
	"strings"
)

// EnvPrefix begins the name of every variable that sets something.
const EnvPrefix = "SKERRY_"

// Setting describes one field of a settings struct, as its tags say it.
type Setting struct {
	Key     string   // name as flag (--key) and in files
	Short   string   // one-letter flag, empty when there is none
	Env     string   // variable; empty for a setting that is a flag only
	Default string   // text form, empty when there is none
	OneOf   []string // allowed words, nil when any
	As      string   // what the help calls the value, empty for a switch
	Help    string
	List    bool // takes several values
	Commas  bool // a list whose entries are separated by commas as well
	Switch  bool // true or false
	Secret  bool // never printed

	index []int
}

// Settings lists the fields of T, a struct with settings tags, in the order of its definition.
func Settings[T any]() []Setting { return settingsOf(reflect.TypeFor[T](), nil) }

func settingsOf(t reflect.Type, prefix []int) []Setting {
	var all []Setting
	for i := range t.NumField() {
		field := t.Field(i)
		index := append(append([]int(nil), prefix...), i)
		if field.Anonymous {
			all = append(all, settingsOf(field.Type, index)...)
			continue
		}
		if key := field.Tag.Get("key"); key != "" {
			all = append(all, newSetting(field, key, index))
		}
	}
	return all
}

func newSetting(field reflect.StructField, key string, index []int) Setting {
	s := Setting{
		Key:     key,
		Short:   field.Tag.Get("short"),
		Env:     field.Tag.Get("env"),
		Default: field.Tag.Get("def"),
		As:      field.Tag.Get("as"),
		Help:    field.Tag.Get("help"),
		List:    field.Type.Kind() == reflect.Slice,
		Switch:  field.Type.Kind() == reflect.Bool,
		Secret:  field.Type == reflect.TypeFor[Secret](),
		index:   index,
	}
	s.Commas = s.List && field.Tag.Get("sep") != "none"
	switch s.Env {
	case "-":
		s.Env = ""
	case "":
		s.Env = EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
	}
	if words := field.Tag.Get("oneof"); words != "" {
		s.OneOf = strings.Split(words, ",")
	}
	return s
}

// table finds settings by the names they go by.
type table struct {
	settings []Setting
	byKey    map[string]*Setting
	byEnv    map[string]*Setting
	byFlag   map[string]*Setting // key or short

	skipUnknown bool // unknown keys and variables belong to another command
}

func newTable(settings []Setting) table {
	t := table{
		settings: settings,
		byKey:    make(map[string]*Setting),
		byEnv:    make(map[string]*Setting),
		byFlag:   make(map[string]*Setting),
	}
	for i := range settings {
		s := &settings[i]
		t.byFlag[s.Key] = s
		if s.Env != "" {
			t.byKey[s.Key], t.byEnv[s.Env] = s, s
		}
		if s.Short != "" {
			t.byFlag[s.Short] = s
		}
	}
	return t
}

func (t table) keys() []string {
	keys := make([]string, len(t.settings))
	for i, s := range t.settings {
		keys[i] = s.Key
	}
	return keys
}

func (t table) variables() []string {
	names := make([]string, len(t.settings))
	for i, s := range t.settings {
		names[i] = s.Env
	}
	return names
}

// known names every setting of any command with the command that takes it, so that a setting in the wrong place is
// told apart from a misspelt one.
func known() map[string]string {
	owner := make(map[string]string)
	for _, s := range Settings[Server]() {
		owner[s.Key], owner[s.Env] = "server", "server"
	}
	for _, s := range Settings[Agent]() {
		if _, both := owner[s.Key]; !both {
			owner[s.Key], owner[s.Env] = "agent", "agent"
		}
	}
	return owner
}

// Text is the value of the setting in cfg as it would be written in a flag; a secret is hidden.
func (s Setting) Text(cfg any) string {
	v := reflect.Indirect(reflect.ValueOf(cfg)).FieldByIndex(s.index)
	if !s.List {
		return textOf(v)
	}
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = textOf(v.Index(i))
	}
	return strings.Join(parts, ",")
}

// textOf prints a value; the zero of a type that cannot be written, such as no address, is empty.
func textOf(v reflect.Value) string {
	if v.IsZero() && v.Kind() == reflect.Struct {
		return ""
	}
	return fmt.Sprint(v.Interface())
}
