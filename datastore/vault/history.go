package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/skerry-io/skerry/internal/durable"
)

// History tells how the backups went that a server makes by itself. The zero value: it has made none.
type History struct {
	Success *Success `json:"success,omitempty"` // the last one
	Failure *Failure `json:"failure,omitempty"` // the last one; it counts while it is newer than Success
}

// Success is a backup that was made.
type Success struct {
	At       time.Time `json:"at"`
	Name     string    `json:"name"`
	Place    string    `json:"place"` // the directory or bucket it lies in
	Size     int64     `json:"size"`  // in bytes
	Keys     int64     `json:"keys"`
	Revision int64     `json:"revision"`
}

// Failure is one that could not be made.
type Failure struct {
	At    time.Time `json:"at"`
	Why   string    `json:"why"`
	Times int       `json:"times"` // how many in a row
}

// Failing says that the last backup could not be made.
func (h History) Failing() bool {
	return h.Failure != nil && h.Failure.Times > 0
}

// ReadHistory reads what Save wrote. A file that is not there is an empty one.
func ReadHistory(path string) (h History, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	if err != nil {
		return History{}, fmt.Errorf("read how the last backups went: %w", err)
	}
	return h, nil
}

// Save writes it down.
func (h History) Save(path string) error {
	data, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(data, '\n'), 0o600)
}

// Made notes a success.
func (h *History) Made(s Success) {
	h.Success = &s
	if h.Failure != nil {
		h.Failure.Times = 0
	}
}

// Failed notes a failure, and says whether it is the first in a row.
func (h *History) Failed(at time.Time, err error) (first bool) {
	times := 1
	if h.Failing() {
		times = h.Failure.Times + 1
	}
	h.Failure = &Failure{At: at, Why: err.Error(), Times: times}
	return times == 1
}
