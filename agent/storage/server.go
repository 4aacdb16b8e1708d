package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

const (
	// soon and late bound the pause before a server is asked again. Many nodes lose their server at the same moment, so a
	// part of each pause is random.
	soon, late = time.Second, time.Minute
	// patience is how long a report may take.
	patience = 30 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 4 << 10
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
	pause := soon
	for {
		err := s.listen(ctx, func(list wire.VolumeOrders) {
			pause = soon
			s.rows.Set(run.Detail{Name: rowOrders, State: "heard"})
			take(list)
		})
		if ctx.Err() != nil {
			return
		}
		s.rows.Set(run.Detail{Name: rowOrders, State: "waiting", Err: fmt.Errorf("for a server: %w", err)})
		s.log.Debug("no server gives orders about volumes; it is asked again", "err", err)
		select {
		case <-time.After(pause + rand.N(pause)):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, late)
	}
}

// listen reads lists for as long as the server writes some.
func (s *server) listen(ctx context.Context, take func(wire.VolumeOrders)) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"?watch=true", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := s.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := judge(answer); err != nil {
		return err
	}
	for lists := json.NewDecoder(answer.Body); ; {
		var list wire.VolumeOrders
		if err := lists.Decode(&list); err != nil {
			return err
		}
		take(list)
	}
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
	if err := judge(answer); err != nil {
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

func judge(answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer)) // half a reason is better than none
	return fmt.Errorf("the server answers %s: %s", answer.Status, strings.TrimSpace(string(text)))
}
