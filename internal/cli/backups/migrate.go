package backups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/vault"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/cli/progress"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// Migrate moves the datastore of this server to another engine.
func Migrate(ctx context.Context, env command.Env, c config.Migrate, _ []string) (err error) {
	from, to, err := route(c)
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.Paths().DBDir()); err != nil && !from.External() {
		return fault.New("there is no datastore on this host").Because(err).Fix("run the command on a server, with the data-dir of that server")
	}
	hold := &holding{paths: c.Paths()}
	if err := hold.take(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hold.release()) }()
	bar := progress.New(env.Err).Bar()
	m := vault.Migration{Dir: c.Paths().DBDir(), From: in(from), To: in(to), Progress: bar.Set, Now: time.Now()}
	moved, err := m.Run(ctx)
	bar.End()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%d keys were moved from %s to %s, and read again; revisions go on above %d\n", moved.Keys, from, to, moved.Revision)
	if moved.Changed > 0 {
		text += fmt.Sprintf("%d of them have another revision there\n", moved.Changed)
	}
	if moved.Aside != "" {
		text += fmt.Sprintf("the former datastore lies in %s; remove it once you trust the new one\n", moved.Aside)
	}
	if needed := advice(to, from.Endpoint, from.Kind == engines.Etcd); needed != "" {
		text += needed + "\n"
	}
	_, err = io.WriteString(env.Out, text)
	return err
}

// route is from which engine to which.
func route(c config.Migrate) (from, to engines.Engine, err error) {
	if from, err = present(c.Paths(), c.Elsewhere); err != nil {
		return from, to, err
	}
	if to, err = engines.Named(c.To); err != nil {
		return from, to, err
	}
	if from.String() == to.String() {
		return from, to, fault.New("the datastore is %s already", to).Fix("name another engine, or start the server")
	}
	own, err := settled(c.Own)
	if err != nil {
		return from, to, err
	}
	return from, found(to, c.Elsewhere, own), nil
}

// in gives an engine with its files in a directory.
func in(e engines.Engine) func(string) engines.Engine {
	return func(dir string) engines.Engine {
		e.Dir = dir
		return e
	}
}
