package fault

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with what the operator gave: where it stands, what is wrong, and the cure.
type Problem struct {
	// Key names the setting, empty when the problem belongs to none.
	Key string
	// Where is the place to look at, for example "config.yaml:14" or "--node-ip"; empty when unknown.
	Where string
	what  string
	cure  string
}

// Fix says what the operator can do.
func (p *Problem) Fix(format string, args ...any) *Problem {
	p.cure = fmt.Sprintf(format, args...)
	return p
}

// At says where the problem is.
func (p *Problem) At(where string) *Problem { p.Where = where; return p }

// What is the reason alone.
func (p *Problem) What() string { return p.what }

// Cure is the advice alone, empty when there is none.
func (p *Problem) Cure() string { return p.cure }

// Error is one line: place, reason and cure.
func (p *Problem) Error() string {
	text := p.what
	if p.Where != "" {
		text = p.Where + ": " + text
	}
	if p.cure != "" {
		text += "; to cure: " + p.cure
	}
	return text
}

// Problems collects everything that is wrong, so that the operator needs one round to cure it.
// The zero value is empty and ready.
type Problems struct {
	list []*Problem
}

// Add notes a problem of the setting key ("" for none) and returns it, so that a place and a cure can follow.
func (p *Problems) Add(key, format string, args ...any) *Problem {
	problem := &Problem{Key: key, what: fmt.Sprintf(format, args...)}
	p.list = append(p.list, problem)
	return problem
}

// Append notes problems found elsewhere.
func (p *Problems) Append(more ...*Problem) { p.list = append(p.list, more...) }

// List gives the problems in the order they were found.
func (p *Problems) List() []*Problem { return p.list }

// Has reports whether a problem of the setting key is noted.
func (p *Problems) Has(key string) bool {
	for _, problem := range p.list {
		if problem.Key == key {
			return true
		}
	}
	return false
}

// Err is nil when nothing is wrong, and p otherwise.
func (p *Problems) Err() error {
	if len(p.list) == 0 {
		return nil
	}
	return p
}

// Error is one line per problem.
func (p *Problems) Error() string {
	lines := make([]string, len(p.list))
	for i, problem := range p.list {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives every problem to errors.Is and errors.As.
func (p *Problems) Unwrap() []error {
	errs := make([]error, len(p.list))
	for i, problem := range p.list {
		errs[i] = problem
	}
	return errs
}
