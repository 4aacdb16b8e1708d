package cli

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/host"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/status"
	"github.com/skerry-io/skerry/internal/version"
)

// newBoard is where this process can be asked how it is.
func newBoard(role, node string, began time.Time) *status.Board {
	return status.NewBoard(status.Process{Role: role, Node: node, Version: version.Number(), Kubernetes: version.Kubernetes,
		PID: os.Getpid(), Started: began})
}

// told lets live work while `skerry status` can ask for it, and keeps how it ended.
func (m machine) told(live func() error) (err error) {
	paths := m.config.Paths()
	if err := errors.Join(
		m.ledger.Apply(host.Dir{Path: config.RunDir, Tree: true}),
		m.ledger.Apply(host.Dir{Path: paths.DataDir(), Placed: true}),
		m.ledger.Apply(host.File{Path: paths.LastRun()}),
	); err != nil {
		return err
	}
	keep := func(err error) {
		if err != nil {
			m.log.Warn("how this run ends will not be known afterwards", "err", err)
		}
	}
	end, err := m.board.Begin(paths.LastRun())
	keep(err)
	defer func() { keep(end(run.Failure(err))) }()
	socket, err := status.Open(config.StatusSocket, m.board)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, socket.Close()) }()
	return live()
}

// announce gives systemd a line whenever a service changes, until the function that it gives is called.
func announce(board *status.Board, group *run.Group, notify notifySocket) (stop func()) {
	if notify == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		board.Announce(ctx, group, func(line string) { notify.tell("STATUS=" + line) })
	}()
	return func() {
		cancel()
		<-done
	}
}
