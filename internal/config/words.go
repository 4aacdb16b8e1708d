package config

import "strings"

// Words takes the words out of args that are neither flags of T nor their values: what a command is about. What follows
// "--" is words only.
func Words[T any](args []string) (words, flags []string) {
	known := newTable(Settings[T]())
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return append(words, args[i+1:]...), flags
		case !strings.HasPrefix(arg, "-"):
			words = append(words, arg)
			continue
		}
		flags = append(flags, arg)
		setting := known.byFlag[strings.TrimLeft(arg, "-")] // none with a "=": its value is in it
		if setting != nil && !setting.Switch && i+1 < len(args) {
			i++
			flags = append(flags, args[i])
		}
	}
	return words, flags
}
