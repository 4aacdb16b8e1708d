package secrets

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// turnKey is held by the server that changes the keys: two at once could each forget what the other writes with.
	turnKey = "/skerry/secrets-rotation"
	// turnLife is how long a server that has crashed holds it.
	turnLife = 30 * time.Second
)

// errTurnLost says that this server was away for so long that another one may change the keys.
var errTurnLost = errors.New("this server could not reach the datastore for too long, and another one may change the keys by now")

// turn is the right to change the keys.
type turn struct {
	data     *stored
	name     string
	life     time.Duration
	revision int64 // of the key, as this turn wrote it last
	seen     int64 // of the key, as another turn has written it
}

// takeTurn waits for nobody: the error is a fault when another server has it. What is done with it ends with the context that it
// gives; call end then.
func (s *Secrets) takeTurn(ctx context.Context, data *stored) (held context.Context, end func(), err error) {
	t := &turn{data: data, name: s.config.Name, life: s.turnLife}
	holder, err := t.write(ctx)
	if err == nil && holder == t.name { // a former life of this server
		t.revision = t.seen
		holder, err = t.write(ctx)
	}
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("take the turn to change the keys of Secrets: %w", err)
	case holder != "":
		return nil, nil, fault.New("the server %s is changing the key of Secrets", holder).
			Fix("wait until it is done: `skerry secrets-encrypt status` says how far it is; a server that has crashed is waited for %s", t.life)
	}
	held, lose := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.hold(held, lose)
	}()
	return held, func() {
		lose(nil)
		<-ended
		t.leave(context.WithoutCancel(ctx))
	}, nil
}

// hold keeps the turn until ctx ends, and says when it is lost.
func (t *turn) hold(ctx context.Context, lose context.CancelCauseFunc) {
	last := time.Now()
	for sleep(ctx, t.life/3) == nil {
		began := time.Now()
		holder, err := t.write(context.WithoutCancel(ctx)) // one that is cut off could leave a key that nobody gives back
		switch {
		case err == nil && holder == "":
			last = began
		case err == nil, time.Since(last) > t.life*2/3:
			lose(errTurnLost)
			return
		}
	}
}

// write writes the key, unless somebody else has it, whose name is given.
func (t *turn) write(ctx context.Context) (holder string, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.life/3)
	defer cancel()
	lease, err := t.data.client.Grant(ctx, max(1, int64(t.life/time.Second)))
	if err != nil {
		return "", err
	}
	txn := t.data.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(turnKey), "=", t.revision)).
		Then(clientv3.OpPut(turnKey, t.name, clientv3.WithLease(lease.ID)))
	if t.revision > 0 {
		txn = txn.Else(clientv3.OpGet(turnKey))
	}
	answer, err := txn.Commit()
	if err != nil {
		return "", err
	}
	if answer.Succeeded {
		t.revision = answer.Header.Revision
		return "", nil
	}
	now, err := t.data.client.Get(ctx, turnKey)
	if err != nil {
		return "", err
	}
	if len(now.Kvs) == 0 {
		return "?", nil // it has just ended
	}
	t.seen = now.Kvs[0].ModRevision
	return string(now.Kvs[0].Value), nil
}

// leave gives the turn back; it ends by itself when that does not work.
func (t *turn) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, t.life/3)
	defer cancel()
	_, _ = t.data.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(turnKey), "=", t.revision)).
		Then(clientv3.OpDelete(turnKey)).Else(clientv3.OpGet(turnKey)).Commit()
}
