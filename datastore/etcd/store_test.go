package etcd

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/k3s-io/kine/pkg/server"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/storetest"
)

// TestSuite: etcd's answers are those of every other engine.
func TestSuite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Engine{Open: func(t testing.TB, dir string) (datastore.Store, func()) {
		c := newSite(t).member(1)
		c.Dir, c.Log = dir, slog.New(slog.DiscardHandler)
		c.Tuning.adjust = func(e *embed.Config) { e.BackendBatchInterval = 200 * time.Millisecond } // sizes are those of the last batch
		r := run(t, c).up()
		return asStore(t, r.c), func() {
			if err := errors.Join(r.end(), r.c.Close()); err != nil { // a client would go on with the next one
				t.Error(err)
			}
		}
	}})
}

// store makes a datastore.Store of a client of etcd, as far as the suite asks. It follows all changes, because etcd has no question for
// those that were.
type store struct {
	c  *clientv3.Client
	kv clientv3.KV

	mu        sync.Mutex // guards what follows
	events    []*server.Event
	seen      int64 // the last revision that is in events
	from      int64 // changes up to it are not in events
	compacted int64
	moved     chan struct{}
}

func asStore(t testing.TB, c *clientv3.Client) *store {
	s := &store{c: c, kv: clientv3.NewKV(c), moved: make(chan struct{})}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	answer, err := c.Get(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	s.from = answer.Header.Revision
	s.seen = s.from
	told := c.Watch(ctx, "", clientv3.WithFromKey(), clientv3.WithPrevKV(), clientv3.WithRev(s.from+1))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for answer := range told {
			s.note(fromEvents(answer.Events), answer.Header.Revision)
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return s
}

func (s *store) note(events []*server.Event, revision int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events, s.seen = append(s.events, events...), max(s.seen, revision)
	close(s.moved)
	s.moved = make(chan struct{})
}

func fromEvents(events []*clientv3.Event) (all []*server.Event) {
	for _, e := range events {
		event := &server.Event{Delete: e.Type == clientv3.EventTypeDelete, Create: e.IsCreate(), KV: fromKV(e.Kv), PrevKV: fromKV(e.PrevKv)}
		all = append(all, event)
	}
	return all
}

func fromKV(kv *mvccpb.KeyValue) *server.KeyValue {
	if kv == nil {
		return nil
	}
	return &server.KeyValue{Key: string(kv.Key), Value: kv.Value, Version: kv.Version, CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision, Lease: kv.Lease}
}

// plain gives errors as engines do.
func plain(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		return server.ErrCompacted
	case errors.Is(err, rpctypes.ErrFutureRev):
		return server.ErrFutureRev
	}
	return err
}

func (s *store) Start(context.Context) error { return nil }

func (s *store) WaitForSyncTo(int64) {}

func (s *store) Get(ctx context.Context, key string, revision int64, bare bool) (int64, *server.KeyValue, error) {
	now, kvs, err := s.list(ctx, key, options(revision, 0, bare)...)
	if err != nil || len(kvs) == 0 {
		return now, nil, err
	}
	return now, kvs[0], nil
}

func options(revision, limit int64, bare bool) []clientv3.OpOption {
	all := []clientv3.OpOption{clientv3.WithRev(revision), clientv3.WithLimit(limit)}
	if bare {
		all = append(all, clientv3.WithKeysOnly())
	}
	return all
}

func (s *store) list(ctx context.Context, key string, options ...clientv3.OpOption) (int64, []*server.KeyValue, error) {
	answer, err := s.kv.Get(ctx, key, options...)
	if err != nil {
		return 0, nil, plain(err)
	}
	kvs := make([]*server.KeyValue, 0, len(answer.Kvs))
	for _, kv := range answer.Kvs {
		one := fromKV(kv)
		if kv.Lease != 0 { // engines give its seconds in the place of its number
			if left, err := s.c.TimeToLive(ctx, clientv3.LeaseID(kv.Lease)); err == nil {
				one.Lease = left.GrantedTTL
			}
		}
		kvs = append(kvs, one)
	}
	return answer.Header.Revision, kvs, nil
}

func (s *store) List(ctx context.Context, key, end string, limit, revision int64, bare bool) (int64, []*server.KeyValue, error) {
	return s.list(ctx, key, append(options(revision, limit, bare), clientv3.WithRange(end))...)
}

func (s *store) Count(ctx context.Context, key, end string, revision int64) (int64, int64, error) {
	answer, err := s.kv.Get(ctx, key, clientv3.WithRange(end), clientv3.WithRev(revision), clientv3.WithCountOnly())
	if err != nil {
		return 0, 0, plain(err)
	}
	return answer.Header.Revision, answer.Count, nil
}

func (s *store) write(ctx context.Context, key string, value []byte, ttl int64) (clientv3.Op, error) {
	if ttl == 0 {
		return clientv3.OpPut(key, string(value)), nil
	}
	lease, err := s.c.Grant(ctx, ttl)
	if err != nil {
		return clientv3.Op{}, err
	}
	return clientv3.OpPut(key, string(value), clientv3.WithLease(lease.ID)), nil
}

func (s *store) Create(ctx context.Context, key string, value []byte, ttl int64) (int64, error) {
	op, err := s.write(ctx, key, value, ttl)
	if err != nil {
		return 0, err
	}
	answer, err := s.kv.Txn(ctx).If(clientv3.Compare(clientv3.Version(key), "=", 0)).Then(op).Commit()
	if err != nil {
		return 0, err
	}
	if !answer.Succeeded {
		return answer.Header.Revision, server.ErrKeyExists
	}
	return answer.Header.Revision, nil
}

// swap makes a change if the key is at a revision, and gives what it is otherwise.
func (s *store) swap(ctx context.Context, key string, revision int64, op clientv3.Op) (*clientv3.TxnResponse, *server.KeyValue, error) {
	answer, err := s.kv.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision), clientv3.Compare(clientv3.Version(key), ">", 0)).
		Then(clientv3.OpGet(key), op).Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return nil, nil, err
	}
	if kvs := answer.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
		return answer, fromKV(kvs[0]), nil
	}
	return answer, nil, nil
}

func (s *store) Update(ctx context.Context, key string, value []byte, revision, ttl int64) (int64, *server.KeyValue, bool, error) {
	op, err := s.write(ctx, key, value, ttl)
	if err != nil {
		return 0, nil, false, err
	}
	answer, is, err := s.swap(ctx, key, revision, op)
	if err != nil {
		return 0, nil, false, err
	}
	if answer.Succeeded {
		is = &server.KeyValue{Key: key, Value: value, CreateRevision: is.CreateRevision, ModRevision: answer.Header.Revision, Version: is.Version + 1}
	}
	return answer.Header.Revision, is, answer.Succeeded, nil
}

func (s *store) Delete(ctx context.Context, key string, revision int64) (int64, *server.KeyValue, bool, error) {
	for {
		at := revision
		if revision == 0 {
			_, is, err := s.Get(ctx, key, 0, true)
			if err != nil {
				return 0, nil, false, err
			}
			if is != nil {
				at = is.ModRevision
			}
		}
		answer, is, err := s.swap(ctx, key, at, clientv3.OpDelete(key))
		if err != nil {
			return 0, nil, false, err
		}
		if answer.Succeeded || revision != 0 || is == nil {
			return answer.Header.Revision, is, answer.Succeeded, nil
		}
	}
}

func (s *store) Watch(ctx context.Context, key, end string, revision int64) server.WatchResult {
	result := server.WatchResult{}
	options := []clientv3.OpOption{clientv3.WithRev(revision), clientv3.WithPrevKV()}
	switch {
	case key == "":
		options = append(options, clientv3.WithFromKey())
	case end != "":
		options = append(options, clientv3.WithRange(end))
	}
	told := s.c.Watch(clientv3.WithRequireLeader(ctx), key, options...)
	if _, err := s.kv.Get(ctx, "a", clientv3.WithRev(revision)); errors.Is(err, rpctypes.ErrCompacted) {
		answer := <-told
		result.CompactRevision, result.CurrentRevision = answer.CompactRevision, answer.Header.Revision
		return result
	}
	events := make(chan []*server.Event)
	result.Events = events
	go func() {
		defer close(events)
		for answer := range told {
			select {
			case events <- fromEvents(answer.Events):
			case <-ctx.Done():
			}
		}
	}()
	return result
}

func (s *store) After(ctx context.Context, key, end string, revision int64) (events []*server.Event, compacted int64, err error) {
	now, err := s.CurrentRevision(ctx)
	if err != nil {
		return nil, 0, err
	}
	for {
		s.mu.Lock()
		if past := max(s.compacted, s.from); revision < past {
			s.mu.Unlock()
			return nil, past, server.ErrCompacted
		}
		moved, seen, all := s.moved, s.seen, s.events
		s.mu.Unlock()
		if seen < now {
			select {
			case <-moved:
			case <-ctx.Done():
				return nil, 0, ctx.Err()
			}
			continue
		}
		for _, e := range all {
			if e.KV.ModRevision > revision && e.InRange(key, end) {
				events = append(events, e)
			}
		}
		return events, 0, nil
	}
}

func (s *store) Compact(ctx context.Context, revision int64) (int64, error) {
	if revision <= 0 { // the first one there does nothing, and etcd does not mind
		return 0, server.ErrCompacted
	}
	answer, err := s.c.Compact(ctx, revision)
	if err != nil {
		return 0, plain(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compacted = max(s.compacted, revision)
	return answer.Header.Revision, nil
}

func (s *store) DbSize(ctx context.Context) (int64, error) {
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	if lease, err := s.c.Grant(ctx, 60); err == nil { // what a batch frees is counted with the next one
		_, _ = s.c.Revoke(ctx, lease.ID)
	}
	answer, err := s.c.Status(ctx, s.c.Endpoints()[0])
	if err != nil {
		return 0, err
	}
	return answer.DbSizeInUse, nil
}

func (s *store) CurrentRevision(ctx context.Context) (int64, error) {
	answer, err := s.kv.Get(ctx, "a", clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return answer.Header.Revision, nil
}
