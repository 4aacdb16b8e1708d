package progress

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/skerry-io/skerry/internal/run"
)

// clearLine returns to the line's start and erases it.
const clearLine = "\r\x1b[K"

// Display is where a start is shown.
type Display struct {
	out   io.Writer
	width func() int // columns of the terminal; nil when out is none

	mu   sync.Mutex // guards line, and writes to out
	line string
}

// New shows on out; a terminal gets a status line.
func New(out io.Writer) *Display {
	d := &Display{out: out}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		d.width = func() int {
			columns, _, err := term.GetSize(int(file.Fd()))
			if err != nil || columns <= 0 {
				return 80
			}
			return columns
		}
	}
	return d
}

// Log is a writer for log lines that keeps the status line below them.
func (d *Display) Log() io.Writer { return logWriter{d} }

type logWriter struct{ d *Display }

func (w logWriter) Write(text []byte) (int, error) {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if w.d.line == "" {
		return w.d.out.Write(text)
	}
	if _, err := fmt.Fprintf(w.d.out, "%s%s%s", clearLine, text, w.d.line); err != nil {
		return 0, err
	}
	return len(text), nil
}

// Group is what is watched.
type Group interface {
	Watch() ([]run.State, <-chan struct{})
}

// Follow shows the group until everything is ready, calls up once then, and ends with that or with ctx.
func (d *Display) Follow(ctx context.Context, group Group, began time.Time, log *slog.Logger, up func()) {
	defer d.status("")
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	logged := map[string]bool{}
	for {
		states, stale := group.Watch()
		for _, s := range states {
			if s.Phase == run.Ready && !logged[s.Name] {
				logged[s.Name] = true
				log.Info("ready", "service", s.Name, "after", since(began))
			}
		}
		waiting := unready(states)
		if len(waiting) == 0 {
			d.status("")
			log.Info("the node is up", "after", since(began))
			up()
			return
		}
		d.status(fmt.Sprintf("%5.1f s  waiting for %s", time.Since(began).Seconds(), strings.Join(waiting, ", ")))
		select {
		case <-stale:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// unready names the services that others, or the person, still wait for.
func unready(states []run.State) []string {
	var names []string
	for _, s := range states {
		switch {
		case s.Phase == run.Paused:
			names = append(names, fmt.Sprintf("%s (%v)", s.Name, s.Err))
		case s.Phase == run.Starting:
			names = append(names, s.Name)
		}
	}
	if len(names) > 0 {
		return names
	}
	for _, s := range states {
		if s.Phase != run.Ready {
			names = append(names, s.Name)
		}
	}
	return names
}

// status shows a line instead of the last one; "" shows none.
func (d *Display) status(line string) {
	if d.width == nil {
		return
	}
	line = fit(line, d.width())
	d.mu.Lock()
	defer d.mu.Unlock()
	if line != d.line {
		_, _ = fmt.Fprint(d.out, clearLine+line)
		d.line = line
	}
}

// fit keeps a status on one line, as only one line can be erased: an error may have several, or be long.
func fit(line string, columns int) string {
	line, _, _ = strings.Cut(line, "\n")
	if letters := []rune(line); len(letters) >= columns {
		return string(letters[:max(columns-1, 0)])
	}
	return line
}

func since(began time.Time) string { return fmt.Sprintf("%.2fs", time.Since(began).Seconds()) }
