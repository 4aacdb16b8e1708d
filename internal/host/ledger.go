package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Entry is one line of the ledger.
type Entry struct {
	Kind   string          `json:"kind"`
	ID     string          `json:"id"`
	At     time.Time       `json:"at"`
	Change json.RawMessage `json:"change"`
	Before json.RawMessage `json:"before"`
}

// String names the entry for an operator: "sysctl net.ipv4.ip_forward".
func (e Entry) String() string { return e.Kind + " " + e.ID }

// decode gives the change of an entry, nil for a kind that this version does not know.
func (e Entry) decode() (Change, error) {
	c := empty(e.Kind)
	if c == nil {
		return nil, nil
	}
	if err := json.Unmarshal(e.Change, c); err != nil {
		return nil, fmt.Errorf("read ledger entry %s: %w", e, err)
	}
	return c, nil
}

// Ledger lists every change made to the host, so that all of them can be undone, also after a crash.
type Ledger struct {
	log  *slog.Logger
	path string

	mu      sync.Mutex // guards everything that follows
	file    *os.File
	entries []Entry // in the order in which they were first made
}

// Open reads the ledger at path, creating it (mode 0600) and its directory when absent, and holds it: it is also the
// lock that keeps a second node, or a reset, off this host. A last line that a power cut left torn is dropped: its
// change was never made. A directory that Open makes is the first entry.
func Open(path string, log *slog.Logger) (*Ledger, error) {
	made, err := makeParent(path)
	if err != nil {
		return nil, err
	}
	file, entries, err := openJournal(path, log)
	if err != nil {
		return nil, err
	}
	l := &Ledger{log: log, path: path, file: file, entries: entries}
	for _, dir := range made {
		if err := l.write(Dir{Path: dir}, []byte(`{}`)); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return l, nil
}

// Path is where the ledger lies.
func (l *Ledger) Path() string { return l.path }

// Close lets go of the file. The ledger must not be used afterwards.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

// Entries gives a copy of what is in the ledger, oldest first.
func (l *Ledger) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// Apply writes the change down, makes sure that it is on disk, and only then makes it. Applying a change again
// writes nothing and keeps what was remembered of the host before the first time.
func (l *Ledger) Apply(c Change) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, err := c.before(l.known(c))
	if err != nil {
		return err
	}
	if before != nil {
		if err := l.write(c, before); err != nil {
			return err
		}
	}
	return c.apply()
}

// known is what was remembered of a change, nil when it is new.
func (l *Ledger) known(c Change) json.RawMessage {
	if i := l.find(c.kind(), c.id()); i >= 0 {
		return l.entries[i].Before
	}
	return nil
}

func (l *Ledger) find(kind, id string) int {
	return slices.IndexFunc(l.entries, func(e Entry) bool { return e.Kind == kind && e.ID == id })
}

// write puts an entry on disk and into memory, unless exactly this one is there.
func (l *Ledger) write(c Change, before json.RawMessage) error {
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("write ledger entry %s %s: %w", c.kind(), c.id(), err)
	}
	e := Entry{Kind: c.kind(), ID: c.id(), At: time.Now().UTC(), Change: text, Before: before}
	i := l.find(e.Kind, e.ID)
	if i >= 0 && bytes.Equal(l.entries[i].Change, e.Change) && bytes.Equal(l.entries[i].Before, e.Before) {
		return nil
	}
	if err := appendEntry(l.file, e); err != nil {
		return fmt.Errorf("ledger %s: %w", l.path, err)
	}
	l.entries = merge(l.entries, e)
	return nil
}

// Scope says which changes an undo is about.
type Scope int

const (
	// All is every entry: the host as it was before.
	All Scope = iota
	// Live is what a power cut would have ended too (pods, mounts, interfaces, tables, routes, kernel settings); files stay.
	Live
)

// UndoAll undoes every entry, newest first, but processes before everything else because they hold the rest.
// See Undo.
func (l *Ledger) UndoAll(ctx context.Context) (Report, error) { return l.Undo(ctx, All) }

// Undo undoes the entries of a scope. One that cannot be undone does not stop the others and stays in the
// ledger; the error joins all of those. The report lists what was done and what was left alone, and why.
func (l *Ledger) Undo(ctx context.Context, scope Scope) (Report, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var report Report
	var failed []error
	keep := map[string]bool{}
	for _, e := range undoOrder(l.entries) {
		if err := l.undoOne(ctx, e, scope, &report); err != nil {
			keep[e.String()] = true
			if !errors.Is(err, errOutOfScope) {
				failed = append(failed, fmt.Errorf("undo %s: %w", e, err))
			}
		}
	}
	l.entries = slices.DeleteFunc(l.entries, func(e Entry) bool { return !keep[e.String()] })
	file, err := rewriteJournal(l.path, l.entries, l.file)
	if err != nil {
		return report, errors.Join(append(failed, err)...)
	}
	l.file = file
	return report, errors.Join(failed...)
}

// errOutOfScope keeps an entry for a later undo.
var errOutOfScope = errors.New("out of scope")

func (l *Ledger) undoOne(ctx context.Context, e Entry, scope Scope, report *Report) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := e.decode()
	if err != nil {
		return err
	}
	if c == nil {
		return fmt.Errorf("a newer Skerry wrote this; undo it with that version")
	}
	if scope == Live && !c.live() || l.holdsLedger(c) {
		return errOutOfScope
	}
	left, err := c.undo(ctx, e.Before)
	if err != nil {
		return err
	}
	if left != "" {
		report.Left = append(report.Left, Note{Entry: e, Why: left})
		l.log.Info("left alone", "change", e.String(), "why", left)
		return nil
	}
	report.Undone = append(report.Undone, e)
	return nil
}

// undoOrder is newest first, with services and processes in front: what still runs would make the rest anew.
func undoOrder(entries []Entry) []Entry {
	rank := func(e Entry) int {
		switch e.Kind {
		case "service":
			return 0
		case "processes":
			return 1
		}
		return 2
	}
	order := slices.Clone(entries)
	slices.Reverse(order)
	slices.SortStableFunc(order, func(a, b Entry) int { return rank(a) - rank(b) })
	return order
}

// holdsLedger is true for a directory above the ledger: that one can only go last, by Remove.
func (l *Ledger) holdsLedger(c Change) bool {
	dir, ok := c.(*Dir)
	return ok && under(l.path, dir.Path)
}

// Remove deletes the ledger once nothing is left to undo, and the directories above it that Open made and that are
// empty then. It is the last act of a reset; the ledger must not be used afterwards.
func (l *Ledger) Remove() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var dirs []string
	for _, e := range slices.Backward(l.entries) {
		c, err := e.decode()
		if err != nil || c == nil || !l.holdsLedger(c) {
			return fmt.Errorf("ledger %s still lists %s", l.path, e)
		}
		existed, err := existedBefore(e.Before)
		if err != nil {
			return err
		}
		if !existed {
			dirs = append(dirs, c.(*Dir).Path)
		}
	}
	if err := errors.Join(os.Remove(l.path), l.file.Close()); err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := os.Remove(dir); err != nil {
			l.log.Info("directory left, something is in it", "path", dir)
			return nil
		}
	}
	return nil
}

// Report is what an undo did.
type Report struct {
	Undone []Entry
	Left   []Note
}

// Note is an entry that was left alone, and why.
type Note struct {
	Entry Entry
	Why   string
}
