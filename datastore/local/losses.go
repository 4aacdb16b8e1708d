package local

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/skerry-io/skerry/internal/durable"
)

// remembered is how long it is told that something was lost.
const remembered = 30 * 24 * time.Hour

// losses gives what was lost lately. A file that cannot be read is no reason not to start.
func (c Config) losses() (all []Loss) {
	text, err := os.ReadFile(c.path(lossFile))
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.Log.Warn("what was lost before cannot be told", "file", c.path(lossFile), "err", err)
	}
	var recent []Loss
	for _, l := range all {
		if time.Since(l.When) < remembered {
			recent = append(recent, l)
		}
	}
	return recent
}

// mourn tells a loss, and remembers it.
func (c Config) mourn(l Loss) error {
	c.Log.Error(l.String(), "from", l.From, "to", l.To)
	text, err := json.MarshalIndent(append(c.losses(), l), "", "  ")
	if err != nil {
		return err
	}
	return durable.Write(c.path(lossFile), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}
