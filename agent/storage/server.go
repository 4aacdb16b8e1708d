package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/skerry-io/skerry/internal/lines"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

const (
	// patience is how long a report may take.
	patience = 30 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 4 << 10
	// maxOrders bounds a list of orders, in bytes. One order has some hundred.
	maxOrders = 16 << 20
)

// rowOrders is what the status calls the list of what is to be done.
const rowOrders = "orders"

// server is who gives orders, as the node's own endpoint reaches it.
type server struct {
	http *http.Client
	url  string
	rows *run.Rows
	log  *slog.Logger
}

// follow hands every list of orders to take, until ctx ends.
func (s *server) follow(ctx context.Context, take func(wire.VolumeOrders)) {
	lines.Source{
		HTTP:    s.http,
		URL:     func() string { return s.url + "?watch=true" },
		Longest: maxOrders,
		Take: func(line []byte) error {
			var list wire.VolumeOrders
			if err := json.Unmarshal(line, &list); err != nil {
				s.rows.Set(run.Detail{Name: rowOrders, State: "not understood", Bad: true, Err: err})
				return fmt.Errorf("read the orders: %w", err)
			}
			s.rows.Set(run.Detail{Name: rowOrders, State: "heard"})
			take(list)
			return nil
		},
		Silent: func(err error) {
			s.rows.Set(run.Detail{Name: rowOrders, State: "waiting", Err: fmt.Errorf("for a server: %w", err)})
			s.log.Debug("no server gives orders about volumes; it is asked again", "err", err)
		},
	}.Follow(ctx)
}

// report tells a server what was done, and gives what it says to that.
func (s *server) report(ctx context.Context, report wire.VolumeReport) (wire.VolumeAnswer, error) {
	var said wire.VolumeAnswer
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, err := json.Marshal(report)
	if err != nil {
		return said, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return said, err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := s.http.Do(r)
	if err != nil {
		return said, unheardError{err}
	}
	defer answer.Body.Close()
	if err := lines.Judge(answer); err != nil {
		return said, unheardError{err}
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&said); err != nil {
		return said, unheardError{err}
	}
	return said, nil
}

// unheardError is a report that no server took; there is nobody to tell of it.
type unheardError struct{ cause error }

func (e unheardError) Error() string { return "no server took the report: " + e.cause.Error() }
func (e unheardError) Unwrap() error { return e.cause }

func unheard(err error) bool {
	var e unheardError
	return errors.As(err, &e)
}
