package engines

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/etcd"
	"github.com/skerry-io/skerry/datastore/kinesql"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/datastore/reach"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// The words for the engines inside. Those of others go by their address, as in the setting datastore-endpoint.
const (
	SQLite = "sqlite" // of a single server
	Etcd   = "etcd"   // of several
)

// patience is how long a datastore of others may take to answer a command.
const patience = 10 * time.Second

// Engine says where a datastore lies.
type Engine struct {
	// Kind is SQLite or Etcd, and anything else where Endpoint says it.
	Kind string
	// Dir holds the files of those inside.
	Dir string
	// Name and Address are those of this server, for a member of etcd that is made. They may change later.
	Name    string
	Address netip.Addr
	// Endpoint is of a datastore that others run, which the files are for.
	Endpoint                  config.Endpoint
	CAFile, CertFile, KeyFile string
	// Patience is how long that one may take to answer; ten seconds when it is zero.
	Patience time.Duration
	Log      *slog.Logger
}

// String names the engine, without a password.
func (e Engine) String() string {
	if e.Endpoint.Kind != "" {
		return e.Endpoint.Place
	}
	return e.Kind
}

// External says that others run it.
func (e Engine) External() bool { return e.Endpoint.Kind != "" }

// Brand is what it is, in one word.
func (e Engine) Brand() string {
	if e.External() {
		return e.Endpoint.Kind
	}
	return e.Kind
}

// Opened is an engine that runs in this process, or one of others.
type Opened struct {
	// Client reaches it.
	Client *clientv3.Client
	close  func() error
}

// Close ends the engine and waits for that.
func (o *Opened) Close() error {
	err := o.Client.Close()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, o.close())
}

// Open runs the engine, for its client alone. Close ends it.
func (e Engine) Open(ctx context.Context) (*Opened, error) {
	switch {
	case e.Endpoint.Kind == config.KindEtcd:
		at := datastore.Endpoint{URLs: e.Endpoint.URLs, CAFile: e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile}
		if err := e.await(ctx, func(ctx context.Context, waiting func(error)) error { return reach.Etcd(ctx, at, e.String(), waiting) }); err != nil {
			return nil, err
		}
		return connected(at, func() error { return nil })
	case !e.External() && e.Kind == Etcd:
		return e.openMember(ctx)
	}
	return e.serve(ctx)
}

// connected is an engine that answers already; it is closed when no client can be made.
func connected(at datastore.Endpoint, end func() error) (*Opened, error) {
	client, err := at.Client()
	if err != nil {
		return nil, errors.Join(err, end())
	}
	return &Opened{Client: client, close: end}, nil
}

// serve runs an engine that has no server of its own.
func (e Engine) serve(ctx context.Context) (o *Opened, err error) {
	dir, err := os.MkdirTemp("", "skerry-") // the path of a socket must be short
	if err != nil {
		return nil, err
	}
	store, letGo, err := e.store(ctx)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	socket := filepath.Join(dir, "s")
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		err := datastore.Serve(life, store, socket, func() { close(ready) })
		letGo()
		ended <- errors.Join(err, os.RemoveAll(dir))
	}()
	end := func() error {
		stop()
		return <-ended
	}
	select {
	case <-ready:
		return connected(datastore.Endpoint{URLs: []string{"unix://" + socket}}, end)
	case err := <-ended:
		stop()
		return nil, err
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), end())
	}
}

func (e Engine) store(ctx context.Context) (store datastore.Store, letGo func(), err error) {
	if !e.External() {
		return local.Open(ctx, local.Config{Dir: e.Dir, Log: e.Log})
	}
	err = e.await(ctx, func(ctx context.Context, waiting func(error)) (err error) {
		store, letGo, err = kinesql.Connect(ctx, e.database(waiting))
		return err
	})
	return store, letGo, err
}

func (e Engine) database(waiting func(error)) kinesql.Config {
	return kinesql.Config{Endpoint: e.Endpoint, CAFile: e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile, Waiting: waiting, Log: e.Log}
}

// await does something with what others run, which would wait for it for ever: a server does, and a command does not.
func (e Engine) await(ctx context.Context, do func(ctx context.Context, waiting func(error)) error) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	end := time.Now().Add(cmp.Or(e.Patience, patience))
	err := do(ctx, func(why error) {
		if why != nil && time.Now().After(end) {
			giveUp(fault.New("reach %s", e).Because(why).Fix("see whether it runs, and check its address and the network; nothing was changed"))
		}
	})
	var late *fault.Fault
	if err != nil && errors.As(context.Cause(ctx), &late) {
		return late
	}
	return err
}

// Fill makes the datastore out of records. It has to be empty.
func (e Engine) Fill(ctx context.Context, state engine.State, all func(each func(engine.Record) error) error) error {
	switch {
	case e.Endpoint.Kind == config.KindEtcd:
		return fault.New("fill an etcd that others run: it keeps no revisions that it has not given out itself").
			Fix("restore into sqlite, start the server with cluster-init, and let its etcd be the cluster's")
	case e.External():
		return e.await(ctx, func(ctx context.Context, waiting func(error)) error {
			return kinesql.Seed(ctx, e.database(waiting), state, all)
		})
	case e.Kind == Etcd:
		return etcd.Seed(ctx, e.member(), state, all)
	}
	return local.Seed(ctx, local.Config{Dir: e.Dir, Log: e.Log}, state, all)
}
