package status

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/run"
)

// Run is what is kept of a run of a process.
type Run struct {
	Process
	Boot  string    `json:"boot,omitempty"` // names the boot of the machine
	Ended time.Time `json:"ended,omitzero"` // zero while it runs, and for ever when it could not say goodbye
	Error string    `json:"error,omitempty"`
	// Services are those that had ended on their own, when it ended with an error.
	Services []Service `json:"services,omitempty"`
}

// How a run can have ended.
const (
	Clean   = "clean"   // it was asked to
	Broken  = "broken"  // with an error
	Killed  = "killed"  // without a word, in this boot of the machine
	CutOff  = "cut off" // without a word, in an earlier boot: a power cut, or a reset of the machine
	Unknown = "unknown" // without a word, and nothing says whether the machine was booted since
)

// How says how the run ended, as seen in the boot of the machine that boot names.
func (r Run) How(boot string) string {
	switch {
	case r.Error != "":
		return Broken
	case !r.Ended.IsZero():
		return Clean
	case r.Boot == "" || boot == "":
		return Unknown
	case r.Boot == boot:
		return Killed
	}
	return CutOff
}

// Boot names this boot of the machine, "" where the kernel does not say.
func Boot() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// LastRun reads the file; nil when there is none, or when it cannot be understood.
func LastRun(path string) (*Run, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := &Run{}
	if json.Unmarshal(text, r) != nil {
		return nil, nil
	}
	return r, nil
}

// Begin notes at path that a run has begun, and has the board tell of the one before when that did not end well. The
// file is written twice in each run: now and by the function that Begin gives, which takes how the run ended.
func (b *Board) Begin(path string) (end func(error) error, err error) {
	boot := Boot()
	if before, err := LastRun(path); err == nil && before != nil && before.How(boot) != Clean {
		b.remember(before)
	}
	this := Run{Process: b.Report().Process, Boot: boot}
	return func(err error) error {
		this.Ended = time.Now()
		if err != nil {
			this.Error = err.Error()
			this.Services = troubled(b.Report().Services)
		}
		return write(path, this)
	}, write(path, this)
}

// troubled are the services that ended on their own.
func troubled(all []Service) []Service {
	var bad []Service
	for _, s := range all {
		if s.Phase == run.Failed || s.Restarts > 0 {
			bad = append(bad, s)
		}
	}
	return bad
}

func write(path string, r Run) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(text, '\n'), 0o600)
}
