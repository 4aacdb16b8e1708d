package autonomy

import (
	"strconv"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// Key is the annotation, or label, of a Node. The annotation counts when both are there.
const Key = wire.AutonomyKey

// always is the value of a Node whose pods stay for however long it is away.
const always = "always"

// Rule is for how long a Node may be away until Kubernetes does as with any other. The zero Rule is no time at all.
type Rule struct {
	Always bool
	Lasts  time.Duration
}

// None says that the Node is as any other.
func (r Rule) None() bool { return r == Rule{} }

// ends is when a Node that went away at since is no longer covered.
func (r Rule) ends(since time.Time) time.Time { return since.Add(r.Lasts) }

// RuleOf reads the Rule of a Node. With an error, which says what is wrong with the value, it is the zero Rule.
func RuleOf(labels, annotations map[string]string) (Rule, error) {
	text, ok := annotations[Key]
	if !ok {
		text, ok = labels[Key]
	}
	if !ok {
		return Rule{}, nil
	}
	if text == always {
		return Rule{Always: true}, nil
	}
	lasts, err := duration(text)
	if err != nil || lasts <= 0 {
		return Rule{}, fault.New("%q is no value of %s", text, Key).Fix("say how long its pods stay while the node is away, as in 45m, 12h or 7d, or always")
	}
	return Rule{Lasts: lasts}, nil
}

// duration reads Go's form, and days.
func duration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	return time.ParseDuration(text)
}
