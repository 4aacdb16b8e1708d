package datastore

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/status"
)

// patience is how long the process may take to answer.
const patience = 5 * time.Second

// answer is what `-o json` prints.
type answer struct {
	status.Datastore
	Card *card `json:"card,omitempty"` // with --card-endurance
}

// Status prints how the datastore is. Its error is the exit code alone when the datastore does not answer.
func Status(ctx context.Context, env command.Env, flags command.DatastoreStatus, _ []string) error {
	return show(ctx, env.Out, config.StatusSocket, flags, time.Now())
}

func show(ctx context.Context, out io.Writer, socket string, flags command.DatastoreStatus, now time.Time) error {
	endurance, err := parseEndurance(flags.Endurance)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	report, err := status.Ask(ctx, socket)
	switch {
	case errors.Is(err, status.ErrNotRunning):
		return fault.New("no skerry runs on this host").Because(err).Fix("run this on a server, as root, while it runs")
	case err != nil:
		return err
	case report.Datastore == nil:
		return fault.New("this host is no server, or its server is not that far yet").Fix("run this on a server; `skerry status` tells how far it is")
	}
	a := answer{Datastore: *report.Datastore, Card: life(report.Datastore.Written, endurance)}
	if flags.Output == "json" {
		err = cluster.JSON(out, a)
	} else {
		_, err = io.WriteString(out, a.text(now))
	}
	if err == nil && a.Error != "" {
		return command.Quiet(command.ExitFailure)
	}
	return err
}
