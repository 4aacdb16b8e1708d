package engine

import (
	"context"

	"github.com/k3s-io/kine/pkg/server"
)

// request is what a client, or the engine itself, wants to change.
type request struct {
	kind     kind
	key      string
	value    []byte
	lease    int64
	revision int64 // the key's revision that is expected; 0 with remove means any
	answer   chan answer
}

type kind int

const (
	create kind = iota
	update
	remove
)

// answer says at which revision something was done, or why not.
type answer struct {
	revision int64
	done     bool
	former   *server.KeyValue // what a remove removed
	err      error
}

// ask hands a request to the writer and waits. A request that is on its way is done even when the client goes.
func (e *Engine) ask(ctx context.Context, r *request) answer {
	r.answer = make(chan answer, 1)
	select {
	case <-e.closing:
		return answer{err: unavailable("the datastore is closed")}
	default:
	}
	select {
	case e.requests <- r:
	case <-ctx.Done():
		return answer{err: ctx.Err()}
	case <-e.closing:
		return answer{err: unavailable("the datastore is closed")}
	}
	select {
	case a := <-r.answer:
		return a
	case <-ctx.Done():
		return answer{err: ctx.Err()}
	case <-e.closed:
		select {
		case a := <-r.answer:
			return a
		default: // it came after the last that were answered
			return answer{err: unavailable("the datastore is closed")}
		}
	}
}

// Create writes a key that must not exist; otherwise it is ErrKeyExists. It gives the revision of the change, or the
// current one.
func (e *Engine) Create(ctx context.Context, key string, value []byte, lease int64) (int64, error) {
	a := e.ask(ctx, &request{kind: create, key: key, value: value, lease: lease})
	if a.err == nil && !a.done {
		a.err = server.ErrKeyExists
	}
	return a.revision, a.err
}

// Update writes a key that must be at a revision; otherwise it gives what is there, and false.
func (e *Engine) Update(ctx context.Context, key string, value []byte, revision, lease int64) (int64, *server.KeyValue, bool, error) {
	if revision <= 0 { // a key that exists has a revision
		now, kv, err := e.Get(ctx, key, 0, false)
		return now, kv, false, err
	}
	a := e.ask(ctx, &request{kind: update, key: key, value: value, lease: lease, revision: revision})
	if a.err != nil || !a.done {
		return e.instead(ctx, key, a)
	}
	return a.revision, &server.KeyValue{Key: key, Value: value, ModRevision: a.revision, Lease: lease}, true, nil
}

// Delete removes a key that must be at a revision, any with 0; otherwise it gives what is there, and false. To remove
// what is not there, whatever it is, works.
func (e *Engine) Delete(ctx context.Context, key string, revision int64) (int64, *server.KeyValue, bool, error) {
	a := e.ask(ctx, &request{kind: remove, key: key, revision: revision})
	if a.err != nil || !a.done {
		return e.instead(ctx, key, a)
	}
	return a.revision, a.former, true, nil
}

// instead is the answer to a change of something that was not as expected.
func (e *Engine) instead(ctx context.Context, key string, a answer) (int64, *server.KeyValue, bool, error) {
	if a.err != nil {
		return a.revision, nil, false, a.err
	}
	now, kv, err := e.Get(ctx, key, 0, false)
	return now, kv, false, err
}
