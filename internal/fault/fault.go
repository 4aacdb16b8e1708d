package fault

import (
	"fmt"
	"runtime/debug"
)

// Fault is an error with a cause and a cure.
type Fault struct {
	what string
	why  error
	fix  string
}

// New says what could not be done, without "failed to": fault.New("listen on %s", addr).
func New(format string, args ...any) *Fault { return &Fault{what: fmt.Sprintf(format, args...)} }

// Because keeps the cause; errors.Is and errors.As find it.
func (f *Fault) Because(err error) *Fault { f.why = err; return f }

// Fix says what the operator can do.
func (f *Fault) Fix(format string, args ...any) *Fault {
	f.fix = fmt.Sprintf(format, args...)
	return f
}

// Error is one line: what, why and cure.
func (f *Fault) Error() string {
	text := f.what
	if f.why != nil {
		text += ": " + f.why.Error()
	}
	if f.fix != "" {
		text += "; to cure: " + f.fix
	}
	return text
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.why }

// Cure is the advice alone, empty when there is none.
func (f *Fault) Cure() string { return f.fix }

// Recover turns a panic of the deferring function into its error, with the stack.
// Use it as: defer fault.Recover(&err).
func Recover(err *error) {
	if v := recover(); v != nil {
		*err = New("panic: %v\n%s", v, debug.Stack())
	}
}
