package secrets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

const (
	// afterglow is how long the former key stays after the last Secret was rewritten: for those who have read one before, and
	// are about to decrypt it.
	afterglow = 5 * time.Second
	// requestsEnd is when every request of the API server that changes something has ended.
	requestsEnd = 70 * time.Second
	// mostPasses bounds how often Secrets that somebody else wrote at the same moment are looked at again.
	mostPasses = 50
)

// tell hears how far the work is.
type tell func(wire.SecretsProgress)

// rotate goes on from the stage that the file says, until there is one key; with none under way a new key begins one. Each
// step can be done twice, and the file tells where to go on after a crash at any point.
func (s *Secrets) rotate(ctx context.Context, say tell) error {
	if s.config.Others != nil {
		data, err := s.datastore()
		if err != nil {
			return err
		}
		defer data.close()
		held, end, err := s.takeTurn(ctx, data)
		if err != nil {
			return err
		}
		defer end()
		if err = s.goOn(held, say); err != nil && errors.Is(context.Cause(held), errTurnLost) {
			return fault.New("change the key of Secrets").Because(errTurnLost).Fix("call it again: it goes on where it was")
		}
		return err
	}
	return s.goOn(ctx, say)
}

// goOn goes from stage to stage; with several servers one of them does.
func (s *Secrets) goOn(ctx context.Context, say tell) error {
	if k, _ := s.current(); !k.plain && k.stage() == wire.SecretsSteady {
		if err := s.everywhere(ctx); err != nil {
			return err // before anything is changed
		}
		if err := s.change(ctx, k, k.withNew()); err != nil && !errors.Is(err, errMoved) {
			return err
		}
		s.config.Failpoint("secrets/added")
	}
	for {
		k, _ := s.current()
		if k.plain {
			return fault.New("Secrets are not encrypted").Fix("set secrets-encryption: true on every server, and start them again")
		}
		say(wire.SecretsProgress{Stage: k.stage(), Key: k.all[k.newest()].name})
		err := s.everywhere(ctx)
		if k.stage() == wire.SecretsSteady {
			s.config.Log.Info("the key of Secrets was changed", "key", k.writes())
			if err != nil { // it has the new key, and nothing is under those of before
				s.config.Log.Warn("a server still knows the former key of Secrets", "err", err)
			}
			return nil
		}
		if err == nil {
			err = s.step(ctx, k, say)
		}
		if err != nil && !errors.Is(err, errMoved) {
			return err
		}
	}
}

// step brings a rotation to its next stage.
func (s *Secrets) step(ctx context.Context, k keys, say tell) error {
	if k.stage() == wire.SecretsWriting {
		return s.finish(ctx, k, say)
	}
	if err := s.change(ctx, k, k.promoted()); err != nil {
		return err
	}
	s.config.Failpoint("secrets/promoted")
	return nil
}

// finish rewrites all Secrets, sees that nothing is under the former keys, and forgets those.
func (s *Secrets) finish(ctx context.Context, k keys, say tell) error {
	if err := s.rewriteAll(ctx, k, func(ctx context.Context, p pass) error {
		say(wire.SecretsProgress{Stage: wire.SecretsWriting, Rewritten: p.changed})
		s.config.Failpoint("secrets/page")
		return ctx.Err()
	}); err != nil {
		return err
	}
	s.config.Failpoint("secrets/rewritten")
	if err := sleep(ctx, s.grace); err != nil {
		return err
	}
	if s.config.Renew != nil { // what could bring Secrets back under a key that is forgotten
		if err := s.config.Renew(ctx); err != nil {
			return fault.New("replace the snapshots that have Secrets under the former key").Because(err).
				Fix("check that the disk is not full or read-only, and call `skerry secrets-encrypt rotate` again")
		}
	}
	s.config.Failpoint("secrets/renewed")
	return s.change(ctx, k, k.alone())
}

// rewriteAll stores every Secret under the key that is written with, until there is none left to do.
func (s *Secrets) rewriteAll(ctx context.Context, k keys, between func(context.Context, pass) error) error {
	data, err := s.datastore()
	if err != nil {
		return err
	}
	if data == nil {
		return fault.New("it is not known where Secrets are stored").Fix("wait until the API server is ready")
	}
	defer data.close()
	total := 0
	for range mostPasses {
		p, err := data.rewrite(ctx, k, func(ctx context.Context, p pass) error {
			p.changed += total
			return between(ctx, p)
		})
		if err != nil {
			return err
		}
		if total += p.changed; p.changed+p.again > 0 {
			continue
		}
		if p.closed > 0 {
			return fault.New("%d Secrets can be read with none of the keys %s (%s)", p.closed, strings.Join(k.names(), ", "), strings.Join(p.unreadable, ", ")).
				Fix("delete them, or restore %s from a backup that has their key", s.config.File)
		}
		if total > 0 {
			s.config.Log.Info("Secrets were stored anew", "count", total, "under", k.writes())
		}
		return nil
	}
	return fault.New("Secrets change faster than they can be stored anew").Fix("try again when the cluster is quieter")
}

// everywhere waits until all servers write and read with the keys of now, and nobody writes with those of before.
func (s *Secrets) everywhere(ctx context.Context) error {
	late, cancel := context.WithTimeoutCause(ctx, requestsEnd, fmt.Errorf("a request that writes a Secret has not ended for %s", requestsEnd))
	defer cancel()
	if err := s.drained(late); err != nil {
		return err
	}
	if s.config.Others == nil {
		return nil
	}
	others, err := s.config.Others(late)
	if err != nil {
		return fault.New("find the other servers, which must know the keys of Secrets").Because(err).
			Fix("call `skerry secrets-encrypt rotate` again when the API server answers: it goes on where it was")
	}
	answered := []string{s.config.Name}
	for _, other := range others {
		name, err := other.loaded(late, func() string { _, hash := s.current(); return hash })
		if err != nil {
			return fault.New("the server %s has not taken the keys of Secrets", other.URL).Because(err).
				Fix("start it, or remove its node, and call `skerry secrets-encrypt rotate` again: it goes on where it was")
		}
		answered = append(answered, name)
	}
	return s.complete(ctx, answered)
}

// complete wants that all servers are among those that have answered. One that is cut off may have requests with the keys of before,
// and come back with them.
func (s *Secrets) complete(ctx context.Context, answered []string) error {
	if s.config.All == nil {
		return nil
	}
	all, err := s.config.All(ctx)
	if err != nil {
		return fault.New("find all servers, which must know the keys of Secrets").Because(err).
			Fix("call `skerry secrets-encrypt rotate` again when the datastore answers: it goes on where it was")
	}
	for _, name := range all {
		if !slices.Contains(answered, name) {
			return fault.New("the server %s has not taken the keys of Secrets: it was not seen lately", name).
				Fix("start it; if it is gone for good, delete its node, or run `skerry datastore remove %s` if it has none. Then call `skerry secrets-encrypt rotate` again: it goes on where it was", name)
		}
	}
	return nil
}

// sleep waits, unless ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
