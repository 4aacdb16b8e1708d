package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

// openJournal opens and locks the file for appending and reads what it holds.
func openJournal(path string, log *slog.Logger) (*os.File, []Entry, error) {
	file, err := openLocked(path)
	if err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	entries, good := parseJournal(text, log)
	if good < len(text) {
		log.Warn("the ledger ends in a torn line, which is dropped: its change was never made", "path", path)
		err = file.Truncate(int64(good))
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("ledger %s: %w", path, err), file.Close())
	}
	return file, entries, nil
}

// parseJournal reads the entries, and says how many bytes of text end in a whole one. A broken line that has whole ones
// behind it is damage rather than a torn write: it is skipped and kept.
func parseJournal(text []byte, log *slog.Logger) (entries []Entry, good int) {
	at := 0
	for line := range bytes.Lines(text) {
		at += len(line)
		var e Entry
		if !bytes.HasSuffix(line, []byte("\n")) || json.Unmarshal(line, &e) != nil || e.Kind == "" {
			continue
		}
		if good != at-len(line) {
			log.Warn("the ledger has a broken line; a change may be missing from reset", "before", e.String())
		}
		good = at
		entries = merge(entries, e)
	}
	return entries, good
}

// merge puts e in the place of the earlier entry of its kind and id, or at the end.
func merge(entries []Entry, e Entry) []Entry {
	i := slices.IndexFunc(entries, func(o Entry) bool { return o.Kind == e.Kind && o.ID == e.ID })
	if i < 0 {
		return append(entries, e)
	}
	entries[i] = e
	return entries
}

// appendEntry returns when the entry is on disk.
func appendEntry(file *os.File, e Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := file.Write(append(line, '\n')); err != nil {
		return err
	}
	return file.Sync()
}

// rewriteJournal replaces the file by one with these entries, whole or not at all, and gives the new handle.
func rewriteJournal(path string, entries []Entry, old *os.File) (*os.File, error) {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	file, err := openLocked(next) // locked before it has the name, so that the lock is never free in between
	if err != nil {
		return nil, fmt.Errorf("rewrite ledger: %w", err)
	}
	for _, e := range entries {
		if err := appendEntry(file, e); err != nil {
			return nil, errors.Join(err, file.Close(), os.Remove(next))
		}
	}
	if err := errors.Join(file.Sync(), durable.Rename(next, path), old.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("rewrite ledger: %w", err), file.Close())
	}
	return file, nil
}

// makeParent makes the missing directories above path and lists them, outermost first.
func makeParent(path string) ([]string, error) {
	var made []string
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			break
		}
		made = append(made, dir)
	}
	slices.Reverse(made)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fault.New("make %s", filepath.Dir(path)).Because(err).Fix("run as root, or choose another --data-dir")
	}
	return made, nil
}
