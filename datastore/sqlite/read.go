package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/sqlitefile"
)

func dirOf(path string) string { return filepath.Dir(path) }

// Load gives all records, each checked, and none left out.
func (db *DB) Load(ctx context.Context, each func(engine.Record) error) (engine.State, error) {
	state, err := db.loadState(ctx)
	if err != nil {
		return state, err
	}
	gone := map[int64]bool{}
	for _, c := range db.pending {
		switch c.kind {
		case isDrop:
			gone[c.number] = true
		case isCompacted:
			state.Compacted = max(state.Compacted, c.number)
		case isLimit:
			state.Limit = max(state.Limit, c.number)
		}
	}
	if err := db.loadStored(ctx, gone, each); err != nil {
		return state, err
	}
	if err := db.checkPages(ctx); err != nil { // it reads from the end to the front, which a disk is slow at: only what was read before
		return state, err
	}
	for _, c := range db.pending {
		if c.kind != isPut || gone[c.number] {
			continue
		}
		r, err := decode(c.number, c.record)
		if err == nil {
			err = each(r)
		}
		if err != nil {
			return state, err
		}
	}
	db.unread = false
	return state, nil
}

// checkPages has SQLite look at how all pages belong together. A page that counts or leads wrongly leaves records out, or gives them
// twice, and each that it gives is good.
func (db *DB) checkPages(ctx context.Context) error {
	rows, err := db.reading.QueryContext(ctx, "PRAGMA quick_check")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); !harmless(line) {
				return fmt.Errorf("%w: %s", ErrDamaged, line)
			}
		}
	}
	return rows.Err()
}

// harmless says that a line of SQLite's says nothing of records: that it is well, whose lines follow, or that free pages are not counted
// right, which are lost room at worst.
func harmless(line string) bool {
	return line == "ok" || strings.HasPrefix(line, "*** in database ") || strings.HasPrefix(line, "Freelist: size is ") || strings.HasSuffix(line, ": never used")
}

// loadStored gives the records that are in the database, but for some.
func (db *DB) loadStored(ctx context.Context, but map[int64]bool, each func(engine.Record) error) error {
	rows, err := db.reading.QueryContext(ctx, "SELECT revision, record FROM log ORDER BY revision")
	if err != nil {
		return err
	}
	defer rows.Close()
	for last := int64(0); rows.Next(); {
		var revision int64
		var data sql.RawBytes
		if err := rows.Scan(&revision, &data); err != nil {
			return err
		}
		if revision <= last {
			return fmt.Errorf("%w: the record of revision %d comes after that of %d", ErrDamaged, revision, last)
		}
		last = revision
		r, err := decode(revision, data)
		if err == nil && !but[revision] {
			err = each(r)
		}
		if err != nil {
			return err
		}
	}
	return rows.Err()
}

func (db *DB) loadState(ctx context.Context) (state engine.State, err error) {
	rows, err := db.reading.QueryContext(ctx, "SELECT name, value FROM state")
	if err != nil {
		return state, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var value int64
		if err := rows.Scan(&name, &value); err != nil {
			return state, err
		}
		switch name {
		case stateRevision:
			state.Revision = value
		case stateCompacted:
			state.Compacted = value
		case stateLimit:
			state.Limit = value
		}
	}
	if claimed, err := Claimed(db.options.Beside); err == nil { // the file knows more when the write-ahead log was damaged
		state.Limit = max(state.Limit, claimed)
	}
	return state, rows.Err()
}

// Claimed reads the file of Options.Beside: the revision up to which some may have been given out.
func Claimed(path string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// Values reads the records of some revisions; one that is not there is damage.
func (db *DB) Values(ctx context.Context, revisions []int64) ([][]byte, error) {
	ctx = context.WithoutCancel(ctx) // a query that can be cancelled costs a goroutine, and this is short
	values := make([][]byte, len(revisions))
	order, err := db.fresh.values(revisions, values)
	if err != nil {
		return nil, err
	}
	if len(order) == 1 {
		values[order[0]], err = db.value(ctx, revisions[order[0]])
		return values, err
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(revisions[a], revisions[b]) })
	for len(order) > 0 {
		n := min(inOne, len(order))
		if err := db.some(ctx, revisions, order[:n], values); err != nil {
			return nil, err
		}
		order = order[n:]
	}
	return values, nil
}

func (db *DB) value(ctx context.Context, revision int64) ([]byte, error) {
	var data []byte
	err := db.one.QueryRowContext(ctx, revision).Scan(&revision, &data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, missing(revision)
	}
	if err != nil {
		return nil, err
	}
	r, err := decode(revision, data)
	return r.Value, err
}

// some reads what one statement can; order has the places of the revisions, the lowest first.
func (db *DB) some(ctx context.Context, revisions []int64, order []int, values [][]byte) error {
	args := make([]any, inOne)
	for i := range args {
		args[i] = revisions[order[min(i, len(order)-1)]]
	}
	rows, err := db.many.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var revision int64
		var data []byte
		if err := rows.Scan(&revision, &data); err != nil {
			return err
		}
		r, err := decode(revision, data)
		if err != nil {
			return err
		}
		if len(order) == 0 || revisions[order[0]] != revision {
			break
		}
		for len(order) > 0 && revisions[order[0]] == revision { // it may be asked for twice
			values[order[0]], order = r.Value, order[1:]
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(order) > 0 {
		return missing(revisions[order[0]])
	}
	return nil
}

func missing(revision int64) error {
	return fmt.Errorf("%w: the record of revision %d is missing", ErrDamaged, revision)
}

// Newest asks a database that nobody uses, and that may be damaged, for its last revision, with what of the latest changes is whole. It is
// 0 as long as there is no table.
func Newest(ctx context.Context, path string) (revision int64, err error) {
	err = look(ctx, path, func(db *sql.DB, stored stamp) error {
		changes, _, err := latest(path, stored)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return err
		}
		if err := db.QueryRowContext(ctx, "SELECT coalesce(max(revision), 0) FROM log").Scan(&revision); err != nil {
			return err
		}
		for _, c := range changes {
			if c.kind == isPut {
				revision = max(revision, c.number)
			}
		}
		return nil
	})
	return revision, err
}

// look opens a database to read it only, if it has its tables.
func look(ctx context.Context, path string, see func(db *sql.DB, stored stamp) error) (err error) {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", sqlitefile.URI(path, "mode=ro"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var tables int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name IN ('log', 'state')").Scan(&tables); err != nil || tables < 2 {
		return err
	}
	stored, err := stampIn(ctx, db)
	if err != nil {
		return err
	}
	return see(db, stored)
}

// Size is what the records take in the file, in bytes.
func (db *DB) Size(ctx context.Context) (int64, error) {
	var size int64
	err := db.reading.QueryRowContext(ctx, `SELECT (page_count - freelist_count) * page_size
		FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()`).Scan(&size)
	return size, err
}
