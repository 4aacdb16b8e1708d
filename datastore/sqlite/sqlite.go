package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	_ "modernc.org/sqlite" // registers itself with database/sql

	"github.com/skerry-io/skerry/datastore/sqlitefile"
	"github.com/skerry-io/skerry/internal/durable"
)

const (
	// application and layout stand in the file's header: whose it is, and how it is laid out.
	application = 0x736b7279
	layout      = 1
	// What stands in the table of states: the arguments of engine.State, and the parts of a stamp.
	stateRevision, stateCompacted, stateLimit, stateLatest = "revision", "compacted", "limit", "latest-"
	// readers is how many connections read at the same time; one of them may be bringing the write-ahead log home.
	readers = 3
	// inOne is how many records one statement reads.
	inOne = 32
)

// Options are what a database can be told.
type Options struct {
	// Beside is a file that keeps a copy of Batch.Limit, for the day on which the database is lost; "" for none.
	Beside string
	// Failpoint, if set, is told the names of places where a test can end the process.
	Failpoint func(name string)
	// Wrote, if set, is told how many bytes were written to the disk, by several goroutines.
	Wrote func(bytes int64)
}

// DB is an engine.Disk in one file.
type DB struct {
	options Options
	path    string
	writing *sql.DB
	reading *sql.DB
	conn    *sql.Conn // the one that writes
	insert  *sql.Stmt
	remove  *sql.Stmt
	state   *sql.Stmt
	one     *sql.Stmt
	many    *sql.Stmt
	meter   meter
	fresh   fresh // what readers do not find in the database yet

	// What follows is the writer's.
	journal   journal
	pending   []change   // what is not in the database yet
	filled    int        // of that, how much is in the open transaction
	begun     bool       // there is one
	early     bool       // it began while the write-ahead log was brought home
	dropped   int        // how many records it removes
	recovered bool       // pending is all that there is
	unread    bool       // pending is of the run before, and nobody has looked whether the database can be used
	grown     bool       // the write-ahead log is longer than when it was looked at
	home      chan error // gets what became of bringing it home; nil when that was seen to
	broken    error      // the disk failed meanwhile: nothing is written any more
}

// Open opens a database, or makes one.
func Open(ctx context.Context, path string, options Options) (*DB, error) {
	if options.Failpoint == nil {
		options.Failpoint = func(string) {}
	}
	db := &DB{options: options, path: path, meter: meter{wrote: options.Wrote}, journal: journal{path: path + latestFile}}
	if err := db.open(context.WithoutCancel(ctx)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (db *DB) open(ctx context.Context) (err error) {
	common := fmt.Sprintf("busy_timeout(10000),synchronous(2),wal_autocheckpoint(0),journal_size_limit(%d),temp_store(2)", walFile)
	first := "journal_mode(WAL),"
	if empty, err := own(db.path); err != nil {
		return err
	} else if empty { // only then: it would be written again at each start, even on a disk that is full
		first = "auto_vacuum(2)," + first
	}
	// No page is written before its transaction is committed: CheckLog relies on their order.
	if db.writing, err = connect(db.path, first+common+",cache_size(-2048),cache_spill(0)", 1); err != nil {
		return err
	}
	if db.conn, err = db.writing.Conn(ctx); err != nil {
		return err
	}
	if err := db.prepare(ctx); err != nil {
		return err
	}
	if err := db.recover(ctx); err != nil {
		return err
	}
	if err := db.meter.open(db.path); err != nil {
		return err
	}
	if db.reading, err = connect(db.path, common+",query_only(1),cache_size(-256)", readers); err != nil {
		return err
	}
	for to, text := range map[**sql.Stmt]string{
		&db.one:  "SELECT revision, record FROM log WHERE revision = ?",
		&db.many: "SELECT revision, record FROM log WHERE revision IN (?" + strings.Repeat(",?", inOne-1) + ") ORDER BY revision",
	} {
		if *to, err = db.reading.PrepareContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// own makes the file, so that it is for root alone: SQLite takes over its mode for the files beside it. It says whether
// nothing is in it.
func own(path string) (empty bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, err
	}
	info, err := f.Stat()
	return err == nil && info.Size() == 0, errors.Join(err, f.Close())
}

// connect makes a pool of connections with these pragmas.
func connect(path, pragmas string, most int) (*sql.DB, error) {
	query := url.Values{"_pragma": strings.Split(pragmas, ",")}
	pool, err := sql.Open("sqlite", sqlitefile.URI(path, query.Encode()))
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(most)
	pool.SetMaxIdleConns(most)
	return pool, nil
}

// prepare makes the tables of a new file, and checks that an old one is ours.
func (db *DB) prepare(ctx context.Context) (err error) {
	var app, version, tables int
	for pragma, to := range map[string]*int{"PRAGMA application_id": &app, "PRAGMA user_version": &version, "SELECT count(*) FROM sqlite_schema": &tables} {
		if err := db.conn.QueryRowContext(ctx, pragma).Scan(to); err != nil {
			return err
		}
	}
	switch {
	case tables == 0 && version == 0:
		if _, err := os.Stat(db.options.Beside); err == nil { // it is written once there are tables
			return fmt.Errorf("%w: %s is empty, and was not", ErrDamaged, db.path)
		}
		if err := db.create(ctx); err != nil {
			return err
		}
	case app != application:
		return fmt.Errorf("%w: %s is a database of something else", ErrDamaged, db.path)
	case version != layout:
		return fmt.Errorf("%s has the layout %d, and this release knows %d", db.path, version, layout)
	}
	for to, text := range map[**sql.Stmt]string{
		&db.insert: "INSERT INTO log(revision, record) VALUES(?, ?)",
		&db.remove: "DELETE FROM log WHERE revision = ?",
		&db.state:  "INSERT INTO state(name, value) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = max(value, excluded.value)",
	} {
		if *to, err = db.conn.PrepareContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) create(ctx context.Context) error {
	_, err := db.conn.ExecContext(ctx, fmt.Sprintf(`BEGIN IMMEDIATE;
		CREATE TABLE log (revision INTEGER PRIMARY KEY, record BLOB NOT NULL);
		CREATE TABLE state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
		PRAGMA application_id = %d;
		PRAGMA user_version = %d;
		COMMIT;`, application, layout))
	if err != nil {
		return err
	}
	return durable.SyncDir(dirOf(db.path))
}

// recover takes what the last run did not bring into the database. Damage is for CheckLog to tell.
func (db *DB) recover(ctx context.Context) error {
	stored, err := stampIn(ctx, db.conn)
	if err != nil {
		return err
	}
	changes, last, err := latest(db.path, stored)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	db.pending, db.unread, db.journal.used = changes, len(changes) > 0, len(changes) > 0
	if stored.key == nil { // the first commit brings it to the disk
		if stored.key, err = newKey(); err != nil {
			return err
		}
		db.journal.used = true
	}
	db.journal.stamp, db.journal.seals = stamp{number: last, key: stored.key}, sealer(stored.key)
	db.fresh.add(changes)
	db.recovered = true
	return nil
}

// Close lets go of the file. What was committed and is not in the database is brought into it.
func (db *DB) Close() error {
	var errs []error
	if !db.unread { // what was left of the run before stays as it is when the database cannot be used
		errs = append(errs, db.flush(context.Background()))
	}
	db.rollBack(context.Background())
	errs = append(errs, db.broughtHome())
	errs = append(errs, db.journal.finish(db.recovered && len(db.pending) == 0))
	if db.broken == nil {
		db.meter.checkpoint(db.meter.frames)
	}
	for _, s := range []*sql.Stmt{db.insert, db.remove, db.state, db.one, db.many} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	if db.reading != nil {
		errs = append(errs, db.reading.Close())
	}
	if db.broken != nil { // the last connection that is closed brings the log home: the one that writes stays, until the process ends
		return errors.Join(errs...)
	}
	if db.conn != nil {
		errs = append(errs, db.conn.Close())
	}
	if db.writing != nil {
		errs = append(errs, db.writing.Close())
	}
	return errors.Join(append(errs, db.meter.close())...)
}
