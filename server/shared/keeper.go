package shared

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/internal/fault"
)

// Key is where the sealed files lie in the datastore, outside of what Kubernetes keeps there.
const Key = datastore.ServersPrefix + "shared"

const (
	// pause is how long after an error the datastore is asked again, and patience how long it may take to answer.
	pause, patience = time.Second, 10 * time.Second
	// attempts at a change that others make at the same time.
	attempts = 10
)

// Store is the datastore, as etcd's client reaches it.
type Store interface {
	clientv3.KV
	clientv3.Watcher
}

// Config says what a Keeper keeps.
type Config struct {
	Place
	// Name puts this server on the roll, see Enlisted; empty for one that has a Node or a member of etcd.
	Name string
	// Settings names the files that this server's settings have just made. What the datastore has of all others counts at the start.
	Settings []string
	// Secret is that of the server token, as it is in its file.
	Secret func() string
	Log    *slog.Logger
}

// Keeper keeps the files what they are on all servers. A nil one has no other servers: Publish does nothing.
type Keeper struct {
	config Config
	began  chan struct{} // closed by begun, when store is set and the files are those of the cluster
	begun  func()

	mu       sync.Mutex // guards what follows, and is held during an exchange with the datastore
	store    Store
	base     Files // as they lie in the datastore
	revision int64 // of that; 0 for none

	told    sync.Mutex // guards calls
	changes []func(ctx context.Context, names []string)
}

// New prepares a Keeper.
func New(c Config) *Keeper {
	k := &Keeper{config: c, began: make(chan struct{})}
	k.begun = sync.OnceFunc(func() { close(k.began) })
	return k
}

// OnChange has call told the files, by their names in the list, that another server has changed. They are in place by then. Calls
// come one after the other, at the start too, when what lay here was old.
func (k *Keeper) OnChange(call func(ctx context.Context, names []string)) {
	if k == nil {
		return
	}
	k.told.Lock()
	defer k.told.Unlock()
	k.changes = append(k.changes, call)
}

// Publish gives the other servers what was changed in the files here. It waits until the datastore can take it, or ctx ends.
func (k *Keeper) Publish(ctx context.Context) error {
	if k == nil {
		return nil
	}
	select {
	case <-k.began:
	case <-ctx.Done():
		return fault.New("tell the other servers what was changed").Because(context.Cause(ctx)).Fix("try again when the datastore is ready")
	}
	changed, err := k.publish(ctx)
	k.tell(ctx, changed)
	return err
}

// Run makes the files those of the cluster, or begins the cluster's with what lies here, and follows what other servers change until
// ctx ends. The error is a fault when the datastore belongs to another cluster.
func (k *Keeper) Run(ctx context.Context, store Store, ready func()) error {
	for {
		err := k.round(ctx, store, ready)
		var final *fault.Fault
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &final):
			return err
		}
		k.config.Log.Debug("what the servers share is read again", "err", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// round reads once and then follows for as long as the datastore lets it.
func (k *Keeper) round(ctx context.Context, store Store, ready func()) error {
	changed, from, err := k.begin(ctx, store)
	k.tell(ctx, changed)
	if err != nil {
		return err
	}
	k.begun()
	ready()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for answer := range store.Watch(clientv3.WithRequireLeader(ctx), Key, clientv3.WithRev(from+1)) {
		if err := answer.Err(); err != nil {
			return err
		}
		for _, e := range answer.Events {
			changed, err := k.heard(ctx, e)
			k.tell(ctx, changed)
			if err != nil {
				return err
			}
		}
	}
	return errors.New("the watch ended")
}

// begin makes files and datastore the same, and gives the revision from which to follow.
func (k *Keeper) begin(ctx context.Context, store Store) (changed []string, from int64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ours, err := k.config.Read()
	if err != nil {
		return nil, 0, err
	}
	if k.store == nil { // the first time: what is not from the settings may be old
		k.store, k.base = store, Files{}
		for name, text := range ours {
			if !slices.Contains(k.config.Settings, name) {
				k.base[name] = text
			}
		}
	}
	k.store = store
	value, revision, at, err := get(ctx, store)
	if err != nil {
		return nil, 0, err
	}
	if value == nil {
		k.revision, k.base = 0, Files{}
	} else if changed, err = k.take(value, revision); err != nil {
		return changed, 0, err
	}
	more, err := k.put(ctx)
	if err == nil && k.config.Name != "" {
		err = enlist(ctx, store, k.config.Name)
	}
	return append(changed, more...), at, err
}

// heard takes what another server has put, or puts again what somebody has removed.
func (k *Keeper) heard(ctx context.Context, e *clientv3.Event) (changed []string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.Kv.ModRevision <= k.revision {
		return nil, nil // our own
	}
	if e.Type == clientv3.EventTypeDelete {
		k.revision, k.base = 0, Files{}
		return k.put(ctx)
	}
	return k.take(e.Kv.Value, e.Kv.ModRevision)
}

func (k *Keeper) publish(ctx context.Context) (changed []string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.put(ctx)
}

// put writes what was changed here. The caller holds mu.
func (k *Keeper) put(ctx context.Context) (changed []string, err error) {
	for range attempts {
		ours, err := k.config.Read()
		if err != nil {
			return changed, err
		}
		want := merge(k.base, ours, k.base, k.config.Names)
		if equal(want, k.base) {
			return changed, nil
		}
		revision, done, err := set(ctx, k.store, want, k.config.Secret(), k.revision)
		if err != nil {
			return changed, err
		}
		if done {
			k.base, k.revision = want, revision
			return changed, nil
		}
		value, revision, _, err := get(ctx, k.store)
		if err != nil {
			return changed, err
		}
		if value == nil {
			k.revision, k.base = 0, Files{}
			continue
		}
		more, err := k.take(value, revision)
		changed = append(changed, more...)
		if err != nil {
			return changed, err
		}
	}
	return changed, errors.New("other servers change what is shared without end")
}

// take makes the files what another server has put, but for those that were changed here and are not yet put. The caller holds mu.
func (k *Keeper) take(value []byte, revision int64) (changed []string, err error) {
	e, err := read(value)
	if err != nil {
		return nil, err
	}
	ours, err := k.config.Read()
	if err != nil {
		return nil, err
	}
	theirs, err := e.byOwn(ours)
	if err != nil {
		return nil, err
	}
	changed, err = k.config.write(merge(k.base, ours, theirs, k.config.Names))
	if err == nil {
		k.base, k.revision = theirs, revision
	}
	return changed, err
}

// tell passes on which files were changed by others.
func (k *Keeper) tell(ctx context.Context, names []string) {
	if len(names) == 0 {
		return
	}
	k.told.Lock()
	defer k.told.Unlock()
	k.config.Log.Info("another server changed what the servers share", "files", names)
	for _, call := range k.changes {
		call(ctx, names)
	}
}

// get reads the value, nil for none, its revision, and the datastore's.
func get(ctx context.Context, store clientv3.KV) (value []byte, revision, at int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := store.Get(ctx, Key)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("read what the servers share: %w", err)
	}
	if len(answer.Kvs) == 0 {
		return nil, 0, answer.Header.Revision, nil
	}
	value = append([]byte{}, answer.Kvs[0].Value...) // an empty one is there too
	return value, answer.Kvs[0].ModRevision, answer.Header.Revision, nil
}

// set writes files unless the key was written since a revision; done says that it was not.
func set(ctx context.Context, store clientv3.KV, files Files, secret string, since int64) (revision int64, done bool, err error) {
	value, err := seal(files, secret)
	if err != nil {
		return 0, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	txn := store.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(Key), "=", since)).Then(clientv3.OpPut(Key, string(value)))
	if since > 0 {
		txn = txn.Else(clientv3.OpGet(Key)) // a form that all engines know
	}
	answer, err := txn.Commit()
	if err != nil {
		return 0, false, fmt.Errorf("write what the servers share: %w", err)
	}
	return answer.Header.Revision, answer.Succeeded, nil
}
