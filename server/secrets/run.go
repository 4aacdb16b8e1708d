package secrets

import (
	"context"
	"errors"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

const (
	// settled is how long a start is left alone before Secrets are looked through.
	settled = 30 * time.Second
	// retry is when that is tried again after it could not be done.
	retry = 10 * time.Minute
	// rest is between two pages of Secrets that are stored anew without anybody waiting for it.
	rest = 200 * time.Millisecond
	// row is the name under which the status tells of trouble.
	row = "encryption"
)

// ask is somebody who waits for a rotation.
type ask struct {
	underWay bool // it was when he asked: its end is all he wants
	progress chan wire.SecretsProgress
	done     chan error
}

// Run brings Secrets under the key that is written with, once after each start, goes on with a rotation that was cut off,
// and does those that Rotate asks for. It needs the API server.
func (s *Secrets) Run(ctx context.Context, ready func()) error {
	ready()
	timer := time.NewTimer(settled)
	defer timer.Stop()
	for {
		select {
		case a := <-s.asks:
			a.done <- s.do(ctx, "a rotation", func() error { return s.answer(ctx, a) })
		case <-s.lacks:
			if err := s.do(ctx, "putting keys back into the file", func() error { return s.mend(ctx) }); err != nil && ctx.Err() == nil {
				s.config.Log.Error("the file with the keys of Secrets has lost keys that are in force", "err", err)
				timer.Reset(settled) // which sees it again
			}
		case <-timer.C:
			if err := s.do(ctx, "storing Secrets anew", func() error { return s.settle(ctx) }); err != nil && ctx.Err() == nil {
				s.config.Log.Error("Secrets are not all stored as they should be; it is tried again", "err", err)
				timer.Reset(retry)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// do works on something, and tells the status how it ended.
func (s *Secrets) do(ctx context.Context, what string, work func() error) error {
	note := func(work, trouble string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.work, s.trouble = work, trouble
	}
	note(what, "")
	err := work()
	switch {
	case err == nil:
		note("", "")
		s.config.Rows.Drop(row)
	case ctx.Err() != nil:
		note("", "")
	default:
		note("", err.Error())
		s.config.Rows.Set(run.Detail{Name: row, State: "not done", Bad: true, Err: err})
	}
	return err
}

// settle has every Secret be as the setting says, and ends a rotation that was cut off.
func (s *Secrets) settle(ctx context.Context) error {
	s.mu.Lock()
	known := s.place != nil
	s.mu.Unlock()
	if !known {
		return nil
	}
	if err := s.Reload(); err != nil {
		return err
	}
	k, _ := s.current()
	if k.plain == s.config.Enabled { // another server's setting, at the time it started
		next := keys{plain: !s.config.Enabled, all: k.all}
		if err := s.change(ctx, k, next); err != nil {
			return err
		}
		k = next
	}
	if k.stage() != wire.SecretsSteady {
		return s.rotate(ctx, func(wire.SecretsProgress) {})
	}
	return s.rewriteAll(ctx, k, func(ctx context.Context, _ pass) error { return sleep(ctx, rest) })
}

// answer does a rotation that somebody waits for.
func (s *Secrets) answer(ctx context.Context, a *ask) error {
	if k, _ := s.current(); a.underWay && k.stage() == wire.SecretsSteady {
		return nil
	}
	return s.rotate(ctx, func(p wire.SecretsProgress) {
		select {
		case a.progress <- p:
		default: // he does not listen fast enough, or has gone
		}
	})
}

// Rotate replaces the key, or ends the rotation that is under way, and tells say how far it is. When ctx ends it goes on
// nevertheless. A *fault.Fault says what is in the way.
func (s *Secrets) Rotate(ctx context.Context, say func(wire.SecretsProgress)) error {
	s.mu.Lock()
	known, k := s.place != nil, s.keys
	s.mu.Unlock()
	if !known {
		return fault.New("the API server stores Secrets by a file of your own").
			Fix("take encryption-provider-config out of kube-apiserver-arg, or rotate the keys in that file by hand")
	}
	a := &ask{underWay: k.stage() != wire.SecretsSteady, progress: make(chan wire.SecretsProgress, 16), done: make(chan error, 1)}
	select {
	case s.asks <- a:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		select {
		case p := <-a.progress:
			say(p)
		case err := <-a.done:
			if errors.Is(err, context.Canceled) {
				return fault.New("the server ends").Because(err).Fix("start it: it goes on by itself")
			}
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
