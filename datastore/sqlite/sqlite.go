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

	"github.com/skerry-io/skerry/datastore/durable"
)

const (
	// application and layout stand in the file's header: whose it is, and how it is laid out.
	application = 0x736b7279
	layout      = 1
	// readers is how many goroutines read at the same time.
	readers = 2
	// inOne is how many records one statement reads.
	inOne = 32
	// walPages is how far the write-ahead log may grow before it is brought into the database; walBackstop is when SQLite
	// does it on its own.
	walPages, walBackstop = 1000, 4000
	// walFile is what the log's file is cut to when it was longer for a while, in bytes.
	walFile = 8 << 20
)

// Options are what a database can be told.
type Options struct {
	// Beside is a file that keeps a copy of Batch.Limit, for the day on which the database is lost; "" for none.
	Beside string
	// Failpoint, if set, is told the names of places where a test can end the process.
	Failpoint func(name string)
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
	pages   int    // about what the write-ahead log has grown since it was brought in
	scratch []byte // the writer's
}

// Open opens a database, or makes one.
func Open(ctx context.Context, path string, options Options) (*DB, error) {
	if options.Failpoint == nil {
		options.Failpoint = func(string) {}
	}
	db := &DB{options: options, path: path}
	if err := db.open(context.WithoutCancel(ctx)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (db *DB) open(ctx context.Context) (err error) {
	common := fmt.Sprintf("busy_timeout(10000),synchronous(2),wal_autocheckpoint(%d),journal_size_limit(%d),temp_store(2)", walBackstop, walFile)
	first := "journal_mode(WAL),"
	if empty, err := own(db.path); err != nil {
		return err
	} else if empty { // only then: it would be written again at each start, even on a disk that is full
		first = "auto_vacuum(2)," + first
	}
	if db.writing, err = connect(db.path, first+common+",cache_size(-1024)", 1); err != nil {
		return err
	}
	if db.conn, err = db.writing.Conn(ctx); err != nil {
		return err
	}
	if err := db.prepare(ctx); err != nil {
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
	escaped := strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23").Replace(path)
	pool, err := sql.Open("sqlite", "file:"+escaped+"?"+query.Encode())
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

// Close lets go of the file. What was committed and only stands in the write-ahead log is brought into it.
func (db *DB) Close() error {
	var errs []error
	for _, s := range []*sql.Stmt{db.insert, db.remove, db.state, db.one, db.many} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	if db.reading != nil {
		errs = append(errs, db.reading.Close())
	}
	if db.conn != nil {
		errs = append(errs, db.conn.Close())
	}
	if db.writing != nil {
		errs = append(errs, db.writing.Close())
	}
	return errors.Join(errs...)
}
