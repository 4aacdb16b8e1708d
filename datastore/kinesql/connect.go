package kinesql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"log/slog"
	"sync"
	"time"

	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/logstructured"
	"github.com/k3s-io/kine/pkg/logstructured/sqllog"
	"github.com/k3s-io/kine/pkg/query"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/reach"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// Config says which database, and how it is reached.
type Config struct {
	// Endpoint is of the kind postgres or mysql.
	Endpoint config.Endpoint
	// CAFile, CertFile and KeyFile are for TLS, which is used when one of them is set, or when the endpoint says so.
	CAFile, CertFile, KeyFile string
	// Waiting, if set, is told why the database cannot be reached yet; nil once it is.
	Waiting func(error)
	Log     *slog.Logger
}

const (
	// connections is how many are open at most, and kept.
	connections = 20
	// batch is how many rows are read or removed at a time.
	batch = 500
	// compactPatience is how long the removal of one batch may take.
	compactPatience = 10 * time.Second
)

// dialect is what the databases do differently.
type dialect struct {
	name      string // in kine's measurements
	connector driver.Connector
	numbered  bool // parameters are $1, $2 ... instead of ?
	schema    []string
	hold      string                          // in a transaction: makes all writers, and servers that start, wait for its end
	insert    string                          // id, name, created, create_revision, prev_revision, lease, value
	next      string                          // has revisions go on behind one that was inserted; "" when they do by themselves
	create    func(ctx context.Context) error // makes the database itself; nil when that is not known to be needed
	missing   func(error) bool                // there is no such database
	exists    func(error) bool                // what was to be made is there
	soon      func(error) bool                // the database says that it is not ready yet, or full for the moment
	adapt     func(*generic.Generic)
	size      string
	compact   string // all but the last row, by which the revision is known
}

func (c Config) dialect() (*dialect, error) {
	switch c.Endpoint.Kind {
	case config.KindPostgres:
		return c.postgres()
	case config.KindMySQL:
		return c.mysql()
	}
	return nil, fault.New("datastore-endpoint is no database").Fix("use postgres:// or mysql://")
}

// Connect waits until the database can be reached, makes its table where there is none, and gives the store in it. What waiting
// cannot cure is an error at once. The returned function closes the connections; call it once nothing uses the store any more.
func Connect(ctx context.Context, c Config) (datastore.Store, func(), error) {
	d, err := c.dialect()
	if err != nil {
		return nil, nil, err
	}
	if err := c.prepare(ctx, d); err != nil {
		return nil, nil, err
	}
	// kine closes the connections when its context ends, which must not be while requests are still being answered.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	letGo := func() {
		end()
		running.Wait()
	}
	opened, err := c.open(life, &running, d)
	if err != nil {
		letGo()
		return nil, nil, c.unusable(err)
	}
	return opened, letGo, nil
}

func (c Config) open(ctx context.Context, running *sync.WaitGroup, d *dialect) (*shared, error) {
	mark := "?"
	if d.numbered {
		mark = "$"
	}
	rows, err := generic.OpenDB(ctx, running, d.name, d.connector, generic.ConnectionPoolConfig{MaxIdle: connections, MaxOpen: connections}, mark, d.numbered, nil)
	if err != nil {
		return nil, err
	}
	rows.GetSizeSQL = query.New(d.size, mark, d.numbered, "GetSize")
	rows.CompactSQL = query.New(d.compact, mark, d.numbered, "Compact")
	d.adapt(rows)
	// Without an interval of its own it compacts when it is asked, as etcd does.
	log := sqllog.New(&lasting{rows, c.Log}, 0, 0, compactPatience, 0, batch, batch)
	return &shared{store: store{logstructured.New(log), rows}, log: log, life: ctx, running: running}, nil
}

// prepare waits for the database, and makes what is missing.
func (c Config) prepare(ctx context.Context, d *dialect) error {
	db := sql.OpenDB(d.connector)
	defer db.Close()
	if err := c.reach(ctx, d, db); err != nil {
		return err
	}
	for _, statement := range d.schema {
		if _, err := db.ExecContext(ctx, statement); err != nil && !d.exists(err) {
			return c.unusable(err)
		}
	}
	return nil
}

// reach waits until the database answers, and makes it where there is none.
func (c Config) reach(ctx context.Context, d *dialect, db *sql.DB) error {
	waiting := c.Waiting
	if waiting == nil {
		waiting = func(error) {}
	}
	err := reach.Await(ctx, func(ctx context.Context) error {
		err := db.PingContext(ctx)
		if err == nil || !d.missing(err) {
			return err
		}
		if err = d.create(ctx); err != nil && !d.exists(err) {
			return err
		}
		return db.PingContext(ctx)
	}, func(err error) bool { return reach.Passing(err) || d.soon(err) }, waiting)
	if err != nil && ctx.Err() == nil {
		return c.unusable(err)
	}
	return err
}

// unusable says what is wrong with a database, without the password.
func (c Config) unusable(err error) error {
	return fault.New("use %s as the datastore", c.Endpoint.Place).Because(err).
		Fix("check user, password and database in datastore-endpoint, what that user may do, and the certificates")
}
