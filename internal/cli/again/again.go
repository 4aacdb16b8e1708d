package again

import (
	"context"
	"errors"
	"io/fs"
	"os/signal"
	"syscall"

	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/run"
)

// self is the running program even when its file is gone. Its own path is better: it is the name that ps shows.
const self = "/proc/self/exe"

// OnMove lives as a node, and when it ended because the machine's address changed, because a server that has led before is to lead again, or because
// its part of the datastore is to be made anew, the whole program once more: see ADR 16, ADR 33 and ADR 34.
// live must have given back everything that a second process could not take: locks, ports, files.
func OnMove[C any](live func(context.Context, command.Env, C) error) func(context.Context, command.Env, C) error {
	return func(ctx context.Context, env command.Env, config C) error {
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		err := live(ctx, env, config)
		if !run.StartsOver(err) {
			return err
		}
		if ctx.Err() != nil {
			return nil // it was asked to stop meanwhile
		}
		return inPlace(env)
	}
}

// inPlace does not return when all is well. Files are closed and signals go back to their defaults by the exec.
func inPlace(env command.Env) error {
	path, err := env.Executable()
	if err == nil {
		err = syscall.Exec(path, env.Args, env.Environ)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = syscall.Exec(self, env.Args, env.Environ)
	}
	return fault.New("start again in place").Because(err).Fix("start the node again")
}
