package config

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
)

// text is one written value and the place it stands at: file:line, --flag or $VARIABLE.
type text struct {
	value string
	where string
}

// given is what one source says of one setting.
type given struct {
	setting *Setting
	texts   []text
	extend  bool // add to the list instead of replacing it
	where   string
}

// entries splits list texts at commas where the setting wants it.
func (g given) entries() []text {
	if !g.setting.Commas {
		return g.texts
	}
	var all []text
	for _, t := range g.texts {
		if t.value == "" {
			continue // an empty text empties the list
		}
		for part := range strings.SplitSeq(t.value, ",") {
			all = append(all, text{value: strings.TrimSpace(part), where: t.where})
		}
	}
	return all
}

// store puts the value into cfg. What cannot be read is left zero, so that no check blames a value that an earlier
// source gave.
func (g given) store(cfg reflect.Value, problems *fault.Problems) {
	field := cfg.FieldByIndex(g.setting.index)
	if g.setting.List {
		g.storeList(field, problems)
		return
	}
	for _, t := range g.texts {
		g.storeOne(field, t, problems)
	}
}

func (g given) storeList(field reflect.Value, problems *fault.Problems) {
	list := reflect.MakeSlice(field.Type(), 0, len(g.texts))
	if g.extend {
		list = reflect.AppendSlice(list, field)
	}
	for _, t := range g.entries() {
		entry := reflect.New(field.Type().Elem()).Elem()
		if g.storeOne(entry, t, problems) {
			list = reflect.Append(list, entry)
		}
	}
	field.Set(list)
}

func (g given) storeOne(field reflect.Value, t text, problems *fault.Problems) bool {
	s := g.setting
	field.SetZero()
	if s.OneOf != nil && !slices.Contains(s.OneOf, t.value) {
		p := problems.Add(s.Key, "%s: %q is not one of %s", s.Key, t.value, strings.Join(s.OneOf, ", ")).At(t.where)
		if near := Nearest(t.value, s.OneOf); near != "" {
			p.Fix("did you mean %q?", near)
			return false
		}
		p.Fix("write one of them")
		return false
	}
	if s.List && t.value == "" {
		problems.Add(s.Key, "%s has an empty entry", s.Key).At(t.where).Fix("remove it")
		return false
	}
	if err := parseInto(field, t.value); err != nil {
		reason, cure, _ := strings.Cut(err.Error(), "; ")
		problems.Add(s.Key, "%s: %q %s", s.Key, t.value, reason).At(t.where).Fix("%s", cure)
		return false
	}
	return true
}

// parseInto reads written by the type of v. Its errors read on from the text, reason first and cure after a
// semicolon: "is not a whole number; write digits only". A Secret takes any text, so no error can show one.
func parseInto(v reflect.Value, written string) error {
	switch target := v.Addr().Interface().(type) {
	case *Secret:
		*target = Secret(written)
		return nil
	case *string:
		*target = written
		return nil
	case *bool:
		return parse(target, written, strconv.ParseBool, "is neither true nor false; write true or false")
	case *int:
		return parse(target, written, strconv.Atoi, "is not a whole number; write digits only")
	case *time.Duration:
		return parse(target, written, time.ParseDuration, "is not a duration; write a number and a unit, for example 30s")
	case *netip.Addr:
		return parse(target, written, parseAddr, "is not an IP address; write one like 192.0.2.10 or 2001:db8::10")
	case *netip.Prefix:
		return parse(target, written, netip.ParsePrefix, "is not a CIDR; write ADDRESS/BITS, for example 10.42.0.0/16")
	case encoding.TextUnmarshaler:
		return target.UnmarshalText([]byte(written))
	}
	return fmt.Errorf("cannot be read: settings have no type %s", v.Type())
}

func parse[T any](target *T, written string, read func(string) (T, error), wrong string) error {
	value, err := read(written)
	if err != nil {
		return errors.New(wrong)
	}
	*target = value
	return nil
}

// parseAddr refuses zones: an address with one means nothing to another host.
func parseAddr(written string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(written)
	if err == nil && addr.Zone() != "" {
		return netip.Addr{}, errors.New("has a zone")
	}
	return addr.Unmap(), err
}
