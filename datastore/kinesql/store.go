package kinesql

import (
	"context"
	"errors"
	"sync"

	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/logstructured/sqllog"
	"github.com/k3s-io/kine/pkg/server"
)

// store is kine's engine, and what it does not tell of its database.
type store struct {
	server.Backend
	rows *generic.Generic
}

const (
	// onwards as the end of a range means all keys from its beginning on; as its beginning, from the first one on.
	onwards = "\x00"
	// first and last are before and behind every key that is text.
	first, last = "\x01", "\U0010FFFF"
)

// bounds gives a range as a database can compare it: no text of Postgres holds a zero byte.
func bounds(key, end string) (string, string) {
	if key == onwards {
		key = first
	}
	if end == onwards {
		end = last
	}
	return key, end
}

// Get gives one key.
func (s *store) Get(ctx context.Context, key string, revision int64, keysOnly bool) (int64, *server.KeyValue, error) {
	for {
		at, kv, err := s.Backend.Get(ctx, key, revision, keysOnly)
		if kv != nil || err != nil && !errors.Is(err, server.ErrFutureRev) {
			return at, kv, err
		}
		if at, none, err := s.none(ctx, key, key+first, revision); none {
			return at, nil, err
		}
	}
}

// List gives a range.
func (s *store) List(ctx context.Context, key, end string, limit, revision int64, keysOnly bool) (int64, []*server.KeyValue, error) {
	key, end = bounds(key, end)
	for {
		at, found, err := s.Backend.List(ctx, key, end, limit, revision, keysOnly)
		if len(found) > 0 || end == "" || err != nil && !errors.Is(err, server.ErrFutureRev) {
			return at, found, err
		}
		if at, none, err := s.none(ctx, key, end, revision); none {
			return at, nil, err
		}
	}
}

// none says whether there is nothing in a range, or an error instead of an answer. What kine says of an empty one goes by the last
// revision that it has looked at, which may be older than what was answered to others before: too old for whoever wants to know
// what is there now. The database counts, and gives the revision that this holds for.
func (s *store) none(ctx context.Context, key, end string, revision int64) (at int64, none bool, err error) {
	at, count, err := s.Count(ctx, key, end, revision)
	return at, err != nil || count == 0, err
}

// Count counts a range.
func (s *store) Count(ctx context.Context, key, end string, revision int64) (int64, int64, error) {
	key, end = bounds(key, end)
	return s.Backend.Count(ctx, key, end, revision)
}

// After gives the changes of a range that are newer than a revision.
func (s *store) After(ctx context.Context, key, end string, revision int64) (events []*server.Event, compacted int64, err error) {
	rows, err := s.rows.After(ctx, key, end, revision, 0)
	if err != nil {
		return nil, 0, err
	}
	_, compacted, events, err = sqllog.RowsToEvents(rows, true, true)
	if err == nil {
		err = rows.Err()
	}
	if err == nil && len(events) == 0 { // then no row told the compacted revision
		compacted, err = s.rows.GetCompactRevision(ctx)
	}
	if err == nil && revision > 0 && revision < compacted {
		err = server.ErrCompacted
	}
	if err != nil {
		return nil, compacted, err
	}
	return s.withoutFills(events), 0, nil
}

// withoutFills drops the rows that only stand where a write took a revision and did not happen.
func (s *store) withoutFills(events []*server.Event) []*server.Event {
	told := events[:0]
	for _, e := range events {
		if !s.rows.IsFill(e.KV.Key) {
			told = append(told, e)
		}
	}
	return told
}

// shared is a store that several servers write to. Each of them remembers only what it has seen, so the database is asked.
type shared struct {
	store
	log     *sqllog.SQLLog
	life    context.Context // of the connections
	running *sync.WaitGroup // what ends with it
}

// CurrentRevision is that of the last change of any server.
func (s *shared) CurrentRevision(ctx context.Context) (int64, error) {
	return s.rows.CurrentRevision(ctx)
}

// Start makes what kine needs in the table, and has leases end. When two servers do so at the same time, one of them finds it done.
func (s *shared) Start(ctx context.Context) error {
	err := s.log.Start(ctx)
	if errors.Is(err, server.ErrKeyExists) {
		err = s.log.Start(ctx)
	}
	if err != nil {
		return err
	}
	if err := s.poll(ctx); err != nil {
		return err
	}
	if _, err := s.Create(ctx, server.HealthKey, []byte(server.HealthVal), 0); err != nil && !errors.Is(err, server.ErrKeyExists) {
		return err
	}
	s.running.Go(func() { s.expire(ctx) })
	return nil
}

// poll has kine begin to ask the database for changes, which its first subscription does. If the database does not answer then, kine says
// nothing, and who subscribed is never told a thing.
func (s *shared) poll(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	if s.log.Watch(ctx, "", "") == nil {
		return errors.New("the database did not say what its last change is")
	}
	return nil
}
