package component

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/skerry-io/skerry/internal/fault"
)

func TestWith(t *testing.T) {
	ours := Flags{"v": "2", "feature-gates": "A=true"}
	for name, c := range map[string]struct{ user, want []string }{
		"nothing given":                  {nil, []string{"--feature-gates=A=true", "--v=2"}},
		"the user's value wins":          {[]string{"v=5"}, []string{"--feature-gates=A=true", "--v=5"}},
		"dashes may stand":               {[]string{"--v=5"}, []string{"--feature-gates=A=true", "--v=5"}},
		"a later entry wins":             {[]string{"v=5", "v=6"}, []string{"--feature-gates=A=true", "--v=6"}},
		"feature gates add up":           {[]string{"feature-gates=B=false", "feature-gates=C=true"}, []string{"--feature-gates=A=true,B=false,C=true", "--v=2"}},
		"underscores are dashes":         {[]string{"feature_gates=B=false"}, []string{"--feature-gates=A=true,B=false", "--v=2"}},
		"a name alone is true":           {[]string{"profiling"}, []string{"--feature-gates=A=true", "--profiling=true", "--v=2"}},
		"a value may hold an equal sign": {[]string{"labels=a=b=c"}, []string{"--feature-gates=A=true", "--labels=a=b=c", "--v=2"}},
		"a value may be empty":           {[]string{"v="}, []string{"--feature-gates=A=true", "--v="}},
	} {
		if got := ours.With(c.user).Args(); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	if ours["v"] != "2" || ours["feature-gates"] != "A=true" {
		t.Errorf("With changed what it was called on: %v", ours)
	}
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		flags Flags
		want  string
	}{
		"known flags of two sets": {Flags{"workers": "3", "known": "true"}, ""},
		"an underscore":           {Flags{"two_words": "x"}, ""},
		"an unknown flag":         {Flags{"unknwon": "1"}, "unknwon"},
		"a value of another type": {Flags{"workers": "many"}, "many"},
		"help":                    {Flags{"help": "true"}, "help"},
	} {
		first, second := pflag.NewFlagSet("first", pflag.ContinueOnError), pflag.NewFlagSet("second", pflag.ContinueOnError)
		first.Bool("known", false, "")
		first.String("two-words", "", "")
		workers := second.Int("workers", 0, "")
		err := c.flags.Parse("kubelet-arg", first, second)
		if c.want == "" {
			if err != nil || c.flags["workers"] == "3" && *workers != 3 {
				t.Errorf("%s: got %v, workers %d", name, err, *workers)
			}
			continue
		}
		var told *fault.Fault
		if !errors.As(err, &told) || !strings.Contains(err.Error(), c.want) || !strings.Contains(told.Cure(), "kubelet-arg") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestList(t *testing.T) {
	two := []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("fd00::/48")}
	if got := List(two); got != "10.42.0.0/16,fd00::/48" {
		t.Errorf("got %q", got)
	}
	if got := List([]netip.Prefix(nil)); got != "" {
		t.Errorf("nothing is %q", got)
	}
}
