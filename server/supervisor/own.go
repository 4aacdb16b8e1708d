package supervisor

import (
	"context"
	"errors"
	"time"

	"github.com/skerry-io/skerry/server/nodes"
)

// ownRetry is the pause between two attempts to record the own node's key.
const ownRetry = 5 * time.Second

// remember keeps the fingerprint of the own node's key until it can be recorded.
func (s *Supervisor) remember(fingerprint string) {
	select {
	case <-s.own: // an older one
	default:
	}
	select {
	case s.own <- fingerprint:
	default: // another request was faster, with the same key: there is one node in this process
	}
}

// RecordOwn records the key of the node in this process, which got its certificates before the API server was up. It
// needs the API server.
func (s *Supervisor) RecordOwn(ctx context.Context, ready func()) error {
	ready()
	for {
		select {
		case fingerprint := <-s.own:
			if err := s.claimOwn(ctx, fingerprint); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// claimOwn tries until the record is made or says that the name belongs to another key; that is told, but ends nothing:
// this server has to work so that someone can put it right.
func (s *Supervisor) claimOwn(ctx context.Context, fingerprint string) error {
	for {
		err := errNoAPI
		if client := s.Client(); client != nil {
			err = nodes.Claim(ctx, client, s.Own, fingerprint)
		}
		var other nodes.Taken
		switch {
		case err == nil:
			return nil
		case errors.As(err, &other):
			s.Log.Error("the key of this server's own node is not the recorded one", "node", s.Own, "err", err)
			return nil
		}
		select {
		case <-time.After(ownRetry):
		case <-ctx.Done():
			return nil
		}
	}
}
