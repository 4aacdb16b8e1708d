package progress

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// barWidth is how many characters the bar has, and drawn how often it is drawn at most.
	barWidth = 30
	drawn    = 100 * time.Millisecond
	// told is how often a pipe hears how far it is.
	told = 10 * time.Second
)

// Bar shows how far one command is. Its methods may be called by any goroutine.
type Bar struct {
	display *Display

	mu   sync.Mutex // guards what follows
	what string
	last time.Time
}

// Bar makes one that shows nothing yet.
func (d *Display) Bar() *Bar { return &Bar{display: d} }

// Set says what is being done, and how much of it is: of is what there is in all, below 1 when that is not known. A terminal gets
// a bar, anything else a line for each new thing, and one now and then.
func (b *Bar) Set(what string, done, of int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh := what != b.what
	pause := drawn
	if b.display.width == nil {
		pause = told
	}
	if !fresh && time.Since(b.last) < pause {
		return
	}
	b.what, b.last = what, time.Now()
	if b.display.width != nil {
		b.display.status(bar(what, done, of))
		return
	}
	line := what + " ..."
	if !fresh {
		line += part(done, of)
	}
	b.display.mu.Lock()
	defer b.display.mu.Unlock()
	_, _ = fmt.Fprintln(b.display.out, line)
}

// End takes the bar away.
func (b *Bar) End() { b.display.status("") }

func bar(what string, done, of int64) string {
	if of < 1 {
		return what + " ..." + part(done, of)
	}
	full := int(min(done, of) * barWidth / of)
	return fmt.Sprintf("%-10s [%s%s]%s", what, strings.Repeat("#", full), strings.Repeat(" ", barWidth-full), part(done, of))
}

func part(done, of int64) string {
	if of < 1 {
		return ""
	}
	return fmt.Sprintf(" %3d %%", min(done, of)*100/of)
}
