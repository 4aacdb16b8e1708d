package autonomy

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestRuleOf(t *testing.T) {
	for name, c := range map[string]struct {
		labels, annotations map[string]string
		want                Rule
		bad                 bool
	}{
		"nothing":                       {nil, nil, Rule{}, false},
		"a label":                       {map[string]string{Key: "45m"}, nil, Rule{Lasts: 45 * time.Minute}, false},
		"an annotation":                 {nil, map[string]string{Key: "always"}, Rule{Always: true}, false},
		"the annotation wins":           {map[string]string{Key: "always"}, map[string]string{Key: "1h30m"}, Rule{Lasts: 90 * time.Minute}, false},
		"days":                          {nil, map[string]string{Key: "7d"}, Rule{Lasts: 168 * time.Hour}, false},
		"a word":                        {nil, map[string]string{Key: "soon"}, Rule{}, true},
		"a bad annotation hides a good": {map[string]string{Key: "1h"}, map[string]string{Key: ""}, Rule{}, true},
		"no time":                       {nil, map[string]string{Key: "0s"}, Rule{}, true},
		"no days":                       {nil, map[string]string{Key: "0d"}, Rule{}, true},
		"backwards":                     {nil, map[string]string{Key: "-1h"}, Rule{}, true},
		"half days":                     {nil, map[string]string{Key: "1.5d"}, Rule{}, true},
		"without a unit":                {nil, map[string]string{Key: "300"}, Rule{}, true},
	} {
		got, err := RuleOf(c.labels, c.annotations)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestCovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(slog.New(slog.DiscardHandler))
		began := time.Now()
		time.Sleep(time.Hour) // the server runs for long
		ago := func(d time.Duration) absence { return absence{true, time.Now().Add(-d)} }
		for name, c := range map[string]struct {
			rule  Rule
			state absence
			want  bool
		}{
			"a node that is there":              {Rule{Always: true}, absence{}, false},
			"any node":                          {Rule{}, ago(time.Minute), false},
			"for ever":                          {Rule{Always: true}, ago(9000 * time.Hour), true},
			"not for as long":                   {Rule{Lasts: time.Hour}, ago(59 * time.Minute), true},
			"for longer":                        {Rule{Lasts: time.Hour}, ago(61 * time.Minute), false},
			"away in the future, by this clock": {Rule{Lasts: time.Hour}, ago(-time.Hour), true},
		} {
			if got := a.covers(c.rule, c.state); got != c.want {
				t.Errorf("%s: %t", name, got)
			}
		}
		restarted := New(slog.New(slog.DiscardHandler))
		old := absence{true, began.Add(-10 * time.Hour)}
		if !restarted.covers(Rule{Lasts: time.Hour}, old) {
			t.Error("a server that has just started gives a node no time to come back")
		}
		time.Sleep(comeback + time.Second)
		if restarted.covers(Rule{Lasts: time.Hour}, old) || !restarted.covers(Rule{Always: true}, old) {
			t.Error("a minute after the start the time is not what it says")
		}
	})
}
