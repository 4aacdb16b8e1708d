package kinesql

import (
	"context"
	"database/sql/driver"
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/engine"
)

// steps does something before each thing that a database is asked.
type steps struct {
	driver.Connector
	step func() error
}

func (s steps) Connect(ctx context.Context) (driver.Conn, error) {
	if err := s.step(); err != nil {
		return nil, err
	}
	c, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &stepConn{c.(*wholeConn), s.step}, nil
}

type stepConn struct {
	*wholeConn
	step func() error
}

func (c *stepConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.step(); err != nil {
		return nil, err
	}
	return c.wholeConn.QueryContext(ctx, query, args)
}

func (c *stepConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.step(); err != nil {
		return nil, err
	}
	return c.wholeConn.ExecContext(ctx, query, args)
}

func (c *stepConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.step(); err != nil {
		return nil, err
	}
	return c.wholeConn.PrepareContext(ctx, query)
}

func (c *stepConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	if err := c.step(); err != nil {
		return nil, err
	}
	tx, err := c.wholeConn.BeginTx(ctx, options)
	return stepTx{tx, c.step}, err
}

type stepTx struct {
	driver.Tx
	step func() error
}

func (t stepTx) Commit() error {
	if err := t.step(); err != nil {
		return errors.Join(err, t.Rollback())
	}
	return t.Tx.Commit()
}

var errStep = errors.New("the database fails")

// brokenOff fills a database, and at the nth step is cancelled, or the database fails. It says whether there was such a step.
func (d database) brokenOff(t *testing.T, url string, n int, cancelled bool) (reached bool, err error) {
	t.Helper()
	c := d.config(t, url)
	dialect, err := c.dialect()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	step := func() error {
		if n--; n != 0 {
			return nil
		}
		reached = true
		if cancelled {
			cancel()
			return nil
		}
		return errStep
	}
	dialect.connector = steps{dialect.connector, step}
	err = c.seed(ctx, dialect, engine.State{Revision: 1000}, func(one func(engine.Record) error) error {
		return each(records(3), nil)(func(r engine.Record) error { return errors.Join(step(), one(r)) })
	})
	return reached, err
}

// seedInUse: whatever happens to a copy into a database that a cluster uses, the cluster stays.
func (d database) seedInUse(t *testing.T) {
	store, done := d.connected(t, d.url("used"))
	defer done()
	if err := store.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Create(t.Context(), "/registry/pods/live", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	for _, cancelled := range []bool{true, false} {
		for n := 1; ; n++ {
			reached, err := d.brokenOff(t, d.url("used"), n, cancelled)
			if err == nil || !reached && !errors.Is(err, fs.ErrExist) {
				t.Errorf("step %d, cancelled %v: %v", n, cancelled, err)
			}
			if _, kv, err := store.Get(t.Context(), "/registry/pods/live", 0, false); err != nil || kv == nil {
				t.Fatalf("step %d, cancelled %v: what was there is gone: %v", n, cancelled, err)
			}
			if !reached {
				break
			}
		}
	}
}

// seedCutOff: a copy that breaks off at any step leaves nothing that the next one trips over.
func (d database) seedCutOff(t *testing.T) {
	for name, cancelled := range map[string]bool{"cut_cancelled": true, "cut_failed": false} {
		var err error
		for n := 1; n == 1 || err != nil; n++ {
			if _, err = d.brokenOff(t, d.url(name), n, cancelled); errors.Is(err, fs.ErrExist) || n > 100 {
				t.Fatalf("%s, step %d: the one before left something: %v", name, n, err)
			}
		}
		if _, err := d.brokenOff(t, d.url(name), 0, false); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: it says that it is filled, and then %v", name, err)
		}
	}
}

// seedAlone: a server that starts while a database is filled waits, and then has all of it.
func (d database) seedAlone(t *testing.T) {
	type opened struct {
		store datastore.Store
		done  func()
		err   error
	}
	started := make(chan opened, 1)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	defer stop()
	err := Seed(t.Context(), d.config(t, d.url("alone")), engine.State{Revision: 1000}, func(one func(engine.Record) error) error {
		c := d.config(t, d.url("alone"))
		go func() {
			store, done, err := Connect(ctx, c)
			started <- opened{store, done, err}
		}()
		select {
		case o := <-started:
			started <- o
			t.Errorf("it does not wait: %v", o.err)
		case <-time.After(500 * time.Millisecond):
		}
		return each(records(3), nil)(one)
	})
	if err != nil {
		t.Fatal(err)
	}
	o := <-started
	if o.err != nil {
		t.Fatal(o.err)
	}
	defer o.done()
	if err := o.store.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, kv, err := o.store.Get(t.Context(), "/registry/configmaps/000", 0, false); err != nil || kv == nil {
		t.Errorf("it has not what was copied: %+v, %v", kv, err)
	}
}
