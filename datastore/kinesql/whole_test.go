package kinesql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"testing"
)

var errCut = errors.New("the connection broke")

// cutter is a database whose answers end after two rows: with an error when it is cut.
type cutter struct {
	cut bool
}

func (c cutter) Connect(context.Context) (driver.Conn, error) { return cutConn{cut: c.cut}, nil }
func (c cutter) Driver() driver.Driver                        { return nil }

type cutConn struct {
	driver.Conn
	cut bool
}

func (c cutConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return &cutRows{cut: c.cut, lent: make([]byte, 1)}, nil
}

func (c cutConn) Close() error { return nil }

type cutRows struct {
	cut  bool
	at   byte
	lent []byte // used for each row again, as drivers do
}

func (r *cutRows) Columns() []string { return []string{"number", "text"} }
func (r *cutRows) Close() error      { return nil }

func (r *cutRows) Next(row []driver.Value) error {
	switch {
	case r.at < 2:
		r.at++
		r.lent[0] = 'a' + r.at
		row[0], row[1] = int64(r.at), r.lent
		return nil
	case r.cut:
		return errCut
	}
	return io.EOF
}

func TestAnAnswerThatBrokeOffIsNone(t *testing.T) {
	for _, cut := range []bool{false, true} {
		db := sql.OpenDB(whole{cutter{cut: cut}})
		rows, err := db.QueryContext(t.Context(), "SELECT")
		if cut {
			if !errors.Is(err, errCut) {
				t.Errorf("a cut answer: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var got string
		for rows.Next() {
			var number int64
			var text []byte
			if err := rows.Scan(&number, &text); err != nil {
				t.Fatal(err)
			}
			got += string(text)
		}
		if got != "bc" || rows.Err() != nil || db.Stats().InUse > 0 {
			t.Errorf("got %q, %v", got, rows.Err())
		}
		_ = db.Close()
	}
}
