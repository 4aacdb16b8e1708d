package command

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/skerry-io/skerry/internal/fault"
)

// settingsError is what config found wrong before anything was done.
type settingsError struct{ error }

func (s settingsError) Unwrap() error { return s.error }

// printError writes an error for a person: the cause, then each cure on its own line.
func printError(w io.Writer, err error) {
	var quiet Quiet
	if errors.As(err, &quiet) {
		return
	}
	var problems *fault.Problems
	if errors.As(err, &problems) {
		printProblems(w, err, problems)
		return
	}
	cause, cures := split(err)
	fmt.Fprintf(w, "%s: %s\n", Program, cause)
	printCures(w, cures)
}

func printCures(w io.Writer, cures []string) {
	for _, cure := range cures {
		fmt.Fprintf(w, "  to cure: %s\n", cure)
	}
}

func printProblems(w io.Writer, err error, problems *fault.Problems) {
	count := fmt.Sprintf("%d problems", len(problems.List()))
	if len(problems.List()) == 1 {
		count = "1 problem"
	}
	var settings settingsError
	if errors.As(err, &settings) {
		count += " with the settings; nothing on this host was changed"
	}
	cause, cures := split(err)
	fmt.Fprintf(w, "%s: %s%s\n", Program, strings.TrimSuffix(cause, problems.Error()), count)
	for _, p := range problems.List() {
		where := ""
		if p.Where != "" {
			where = p.Where + ": "
		}
		fmt.Fprintf(w, "  %s%s\n", where, p.What())
		if p.Cure() != "" {
			fmt.Fprintf(w, "      to cure: %s\n", p.Cure())
		}
	}
	printCures(w, cures)
}

// split takes the cures of all faults in err out of its text.
func split(err error) (cause string, cures []string) {
	cause = err.Error()
	var f *fault.Fault
	for errors.As(err, &f) {
		if cure := f.Cure(); cure != "" {
			cause = strings.Replace(cause, "; to cure: "+cure, "", 1)
			cures = append(cures, cure)
		}
		err = f.Unwrap()
	}
	return cause, cures
}
