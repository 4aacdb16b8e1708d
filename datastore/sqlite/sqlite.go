package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/k3s-io/kine/pkg/drivers"
	"github.com/k3s-io/kine/pkg/drivers/generic"
	kine "github.com/k3s-io/kine/pkg/drivers/sqlite"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/internal/fault"
)

// file is the database's name in its directory.
const file = "state.db"

// settings of the connection, in the terms of kine's driver. FULL makes an answered write survive a power cut; the
// start-up VACUUM would rewrite the whole file at every boot.
const settings = "_journal_mode=WAL&_busy_timeout=30000&_synchronous=FULL&_txlock=immediate&_kine_disable_startup_vacuum=true"

// Open opens or creates the database in dir. The returned function waits until the engine has let go of the file; call
// it after ctx has ended.
func Open(ctx context.Context, dir string) (datastore.Store, func(), error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fault.New("create the database directory").Because(err)
	}
	path := filepath.Join(dir, file)
	if err := check(path); err != nil {
		return nil, nil, err
	}
	var running sync.WaitGroup
	backend, _, err := kine.NewVariant(ctx, &running, "sqlite3", &drivers.Config{
		DataSourceName: path + "?" + settings,
		// One connection writes at a time anyway; a few more let reads go on beside it.
		ConnectionPoolConfig: generic.ConnectionPoolConfig{MaxIdle: 2, MaxOpen: 4},
		CompactInterval:      5 * time.Minute,
		CompactTimeout:       5 * time.Second,
		CompactMinRetain:     1000,
		CompactBatchSize:     1000,
		PollBatchSize:        500,
	})
	if err != nil {
		return nil, nil, fault.New("open the database %s", path).Because(err).
			Fix("check that the disk is not full or read-only; a damaged file can be moved aside, which starts an empty cluster")
	}
	return backend, running.Wait, nil
}

// check refuses a file that is not a database, before SQLite would write beside it.
func check(path string) error {
	magic := []byte("SQLite format 3\x00")
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.New("open the database %s", path).Because(err).Fix("run as root")
	}
	defer f.Close()
	head := make([]byte, len(magic))
	switch n, err := io.ReadFull(f, head); {
	case n == 0 && errors.Is(err, io.EOF):
		return nil // created, but the power went before the first page was written
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("read the database: %w", err)
	case !bytes.Equal(head, magic):
		return fault.New("%s is not a SQLite database", path).
			Fix("move it aside to start an empty cluster, or put the right file back")
	}
	return nil
}
