package hostcheck

import (
	"encoding/json"
	"fmt"
	"io"
)

// Level is how bad a finding is.
type Level string

const (
	// OK is as it should be.
	OK Level = "ok"
	// Info is neither good nor bad, but explains later surprises.
	Info Level = "info"
	// Warn works, with a loss.
	Warn Level = "warn"
	// Fail is required and missing.
	Fail Level = "FAIL"
)

// Result is one finding.
type Result struct {
	Name  string `json:"name"`
	Level Level  `json:"level"`
	Found string `json:"found"`
	Cure  string `json:"cure,omitempty"`
}

func ok(format string, args ...any) Result {
	return Result{Level: OK, Found: fmt.Sprintf(format, args...)}
}
func info(format string, args ...any) Result {
	return Result{Level: Info, Found: fmt.Sprintf(format, args...)}
}
func warn(format string, args ...any) Result {
	return Result{Level: Warn, Found: fmt.Sprintf(format, args...)}
}
func fail(format string, args ...any) Result {
	return Result{Level: Fail, Found: fmt.Sprintf(format, args...)}
}

// untried is the finding of a check that could not be made here.
func untried(err error) Result {
	return warn("could not be tried: %v", err).fix("run it as root on the host itself")
}

func (r Result) fix(format string, args ...any) Result {
	r.Cure = fmt.Sprintf(format, args...)
	return r
}

// Failed says whether something required is missing.
func Failed(results []Result) bool {
	for _, r := range results {
		if r.Level == Fail {
			return true
		}
	}
	return false
}

// Print writes one line per check and, below one that needs it, the cure.
func Print(out io.Writer, results []Result) error {
	count := map[Level]int{}
	for _, r := range results {
		count[r.Level]++
		if _, err := fmt.Fprintf(out, "%-5s %-18s %s\n", r.Level, r.Name, r.Found); err != nil {
			return err
		}
		if r.Cure == "" {
			continue
		}
		if _, err := fmt.Fprintf(out, "%25sto cure: %s\n", "", r.Cure); err != nil {
			return err
		}
	}
	verdict := "this host can be a node"
	if count[Fail] > 0 {
		verdict = "this host cannot be a node yet"
	}
	_, err := fmt.Fprintf(out, "\n%d ok, %d warnings, %d failed: %s\n", count[OK]+count[Info], count[Warn], count[Fail], verdict)
	return err
}

// PrintJSON writes the results as one array.
func PrintJSON(out io.Writer, results []Result) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(results)
}
