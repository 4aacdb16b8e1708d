package kinesql

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
)

// whole makes connections whose answers are read to their end before anybody sees them. kine takes rows until there are no
// more, and does not ask why: with a connection that broke in the middle a list would be shorter, and a key would not exist.
type whole struct{ driver.Connector }

// Connect is driver.Connector's.
func (w whole) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := w.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &wholeConn{c}, nil
}

// wholeConn passes on all that the drivers of Postgres and MySQL can do.
type wholeConn struct{ driver.Conn }

// QueryContext reads all of the answer.
func (c *wholeConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return readWhole(c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args))
}

// ExecContext is the driver's.
func (c *wholeConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

// PrepareContext prepares a statement whose answers are whole too.
func (c *wholeConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return &wholeStmt{s}, nil
}

// BeginTx is the driver's.
func (c *wholeConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, options)
}

// Ping is the driver's.
func (c *wholeConn) Ping(ctx context.Context) error { return c.Conn.(driver.Pinger).Ping(ctx) }

// ResetSession is the driver's.
func (c *wholeConn) ResetSession(ctx context.Context) error {
	if r, can := c.Conn.(driver.SessionResetter); can {
		return r.ResetSession(ctx)
	}
	return nil
}

// IsValid is the driver's.
func (c *wholeConn) IsValid() bool {
	v, can := c.Conn.(driver.Validator)
	return !can || v.IsValid()
}

// CheckNamedValue is the driver's.
func (c *wholeConn) CheckNamedValue(v *driver.NamedValue) error {
	if n, can := c.Conn.(driver.NamedValueChecker); can {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type wholeStmt struct{ driver.Stmt }

// QueryContext reads all of the answer.
func (s *wholeStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return readWhole(s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args))
}

// ExecContext is the driver's.
func (s *wholeStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

// CheckNamedValue is the driver's.
func (s *wholeStmt) CheckNamedValue(v *driver.NamedValue) error {
	if n, can := s.Stmt.(driver.NamedValueChecker); can {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// wholeRows is an answer that has come.
type wholeRows struct {
	columns []string
	rows    [][]driver.Value
}

func readWhole(from driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, err
	}
	all := &wholeRows{columns: slices.Clone(from.Columns())}
	for {
		row := make([]driver.Value, len(all.columns))
		if err = from.Next(row); err != nil {
			break
		}
		for i, value := range row {
			if text, lent := value.([]byte); lent {
				row[i] = slices.Clone(text)
			}
		}
		all.rows = append(all.rows, row)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, from.Close()); err != nil {
		return nil, err
	}
	return all, nil
}

// Columns is driver.Rows'.
func (r *wholeRows) Columns() []string { return r.columns }

// Close is driver.Rows'.
func (r *wholeRows) Close() error { return nil }

// Next is driver.Rows'.
func (r *wholeRows) Next(row []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	copy(row, r.rows[0])
	r.rows = r.rows[1:]
	return nil
}
