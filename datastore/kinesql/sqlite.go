package kinesql

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/k3s-io/kine/pkg/drivers"
	"github.com/k3s-io/kine/pkg/drivers/generic"
	kine "github.com/k3s-io/kine/pkg/drivers/sqlite"
	_ "modernc.org/sqlite" // registers itself with database/sql

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/sqlitefile"
	"github.com/skerry-io/skerry/internal/fault"
)

// file is the database's name in its directory.
const file = "state.db"

// settings of the connection, in the terms of kine's driver. FULL makes an answered write survive a power cut; the
// start-up VACUUM would rewrite the whole file at every boot.
const settings = "_journal_mode=WAL&_busy_timeout=30000&_synchronous=FULL&_txlock=immediate&_kine_disable_startup_vacuum=true"

// Open opens or creates the database in dir. The returned function closes it and waits until the engine has let go of
// the file; call it once nothing uses the store any more.
func Open(ctx context.Context, dir string) (datastore.Store, func(), error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fault.New("create the database directory").Because(err).Fix("make %s a directory on a disk that can be written", dir)
	}
	path := filepath.Join(dir, file)
	if err := sqlitefile.Check(path); err != nil {
		return nil, nil, err
	}
	if err := prepare(ctx, path); err != nil {
		return nil, nil, sqlitefile.Unusable(path, err)
	}
	// The engine closes its file when its context ends, which must not be while requests are still being answered.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, end)
	var running sync.WaitGroup
	letGo := func() {
		end()
		running.Wait()
	}
	store, err := sqlite(life, &running, path)
	if err == nil && !unhook() {
		err = ctx.Err()
	}
	if err != nil {
		letGo()
		return nil, nil, sqlitefile.Unusable(path, err)
	}
	return store, letGo, nil
}

// sqlite is kine's, with the database it works on.
func sqlite(ctx context.Context, running *sync.WaitGroup, path string) (*store, error) {
	backend, rows, err := kine.NewVariant(ctx, running, "sqlite3", &drivers.Config{
		DataSourceName: sqlitefile.Escape(path) + "?" + settings,
		// One connection writes at a time anyway; a few more let reads go on beside it.
		ConnectionPoolConfig: generic.ConnectionPoolConfig{MaxIdle: 2, MaxOpen: 4},
		CompactInterval:      5 * time.Minute,
		CompactTimeout:       5 * time.Second,
		CompactMinRetain:     1000,
		CompactBatchSize:     1000,
		PollBatchSize:        500,
	})
	return &store{Backend: backend, rows: rows}, err
}

// prepare opens the file as the engine will, and says at once what is wrong: kine tries for five minutes before it
// says that it cannot.
func prepare(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", sqlitefile.URI(path, "_pragma=busy_timeout(5000)"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, statement := range []string{"PRAGMA journal_mode=WAL", oldTable, "BEGIN IMMEDIATE; ROLLBACK"} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// oldTable stands for the table of kine's ancestors: it has one row, and nothing to take over. Without it kine asks how
// many rows its new table has and never reads the answer, so that one connection reads for ever and the WAL can neither
// be checkpointed nor end.
const oldTable = "CREATE VIEW IF NOT EXISTS key_value AS SELECT NULL AS id, NULL AS name, NULL AS value, NULL AS ttl"
