package kinesql

import (
	"context"
	"database/sql"
	"log/slog"

	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/server"
)

// lasting keeps kine from ending the process when a connection breaks in the middle of a compaction.
type lasting struct {
	*generic.Generic
	log *slog.Logger
}

// BeginTx begins a transaction whose end is never fatal.
func (l *lasting) BeginTx(ctx context.Context, options *sql.TxOptions) (server.Transaction, error) {
	begun, err := l.Generic.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	return &transaction{begun, l.log}, nil
}

type transaction struct {
	server.Transaction
	log *slog.Logger
}

// MustCommit commits. If that fails what was to be compacted stays, until the next compaction.
func (t *transaction) MustCommit() {
	if err := t.Commit(); err != nil {
		t.log.Warn("the past stays in the database for now: a compaction could not be committed", "err", err)
	}
}

// MustRollback undoes what was not committed. If it cannot, the connection is gone, and the database has undone it.
func (t *transaction) MustRollback() { _ = t.Rollback() }
