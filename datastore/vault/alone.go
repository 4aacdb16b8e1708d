package vault

import (
	"context"
	"time"

	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/export"
	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// presence is how long a server may look as if it were there when it is not: a little more than the lease of what it wrote.
	presence = 20 * time.Second
	// lookAgain is the pause before servers are looked for again.
	lookAgain = 500 * time.Millisecond
)

// alone refuses a datastore that servers use. Where one said that it is there it is waited until it says so again, or is forgotten.
func alone(ctx context.Context, of engines.Engine, client export.Client) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	end, again := time.NewTimer(presence), time.NewTicker(lookAgain)
	defer end.Stop()
	defer again.Stop()
	first, err := export.Servers(ctx, client)
	for now := first; err == nil && len(now) > 0; now, err = export.Servers(ctx, client) {
		for address, at := range now {
			if at != first[address] {
				return inUse(of, address)
			}
		}
		select {
		case <-again.C:
		case <-end.C:
			for address := range now {
				return inUse(of, address)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func inUse(e engines.Engine, address string) error {
	return fault.New("%s is in use by the server at %s", e, address).Fix("stop all servers of the cluster, and try again; nothing was changed")
}

// unmoved refuses a datastore that was written to since it was read.
func unmoved(ctx context.Context, of engines.Engine, seen *export.View) error {
	what, err := seen.Changed(ctx)
	if err == nil && what != "" {
		err = fault.New("%s has changed while it was copied: %s", of, what).Fix("stop all servers of the cluster, and try again")
	}
	return err
}

// left says what became of an engine that others run, when what came after it was filled did not work. Files that were made are gone.
func left(e engines.Engine, of string, err error) error {
	if !e.External() {
		return err
	}
	return fault.New("%s holds all records of this %s by now, but the rest did not work, and this machine is as it was", e, of).Because(err).
		Fix("remove the table kine from that database, if no server uses it, or name another database; then try again")
}
