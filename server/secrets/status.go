package secrets

import (
	"context"
	"fmt"

	"github.com/skerry-io/skerry/internal/wire"
)

// Status says how Secrets are stored: it reads all of them.
func (s *Secrets) Status(ctx context.Context) (wire.SecretsStatus, error) {
	s.mu.Lock()
	k := s.keys
	status := wire.SecretsStatus{Enabled: !k.plain, Provider: "secretbox", Keys: k.names(), Stage: k.stage(), Work: s.work, Trouble: s.trouble, Hash: s.hash}
	own := s.place == nil
	s.mu.Unlock()
	if own {
		return wire.SecretsStatus{}, nil
	}
	data, err := s.datastore()
	if err != nil {
		return status, err
	}
	defer data.close()
	if status.Stored, err = data.count(ctx); err != nil {
		return status, err
	}
	status.Servers, err = s.others(ctx, status.Hash)
	return status, err
}

// others asks each of the other servers whether it has the same keys.
func (s *Secrets) others(ctx context.Context, hash string) (all []wire.SecretsServer, err error) {
	if s.config.Others == nil {
		return nil, nil
	}
	others, err := s.config.Others(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the other servers: %w", err)
	}
	for _, other := range others {
		told := wire.SecretsServer{URL: other.URL}
		if has, err := other.ask(ctx, ""); err != nil {
			told.Trouble = err.Error()
		} else {
			told.Same = has.Hash == hash
		}
		all = append(all, told)
	}
	return all, nil
}

// Name is this server's.
func (s *Secrets) Name() string { return s.config.Name }

// Loaded waits until this server writes and reads with the keys of a file, by its hash, and nobody with those of before; when
// ctx ends first, it does not. Without a hash it does not wait. It gives the hash of what is in force.
func (s *Secrets) Loaded(ctx context.Context, hash string) (string, error) {
	for {
		s.mu.Lock()
		now, changed := s.hash, s.changed
		s.mu.Unlock()
		if hash == "" || now == hash {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return now, context.Cause(ctx)
		}
	}
	if hash != "" {
		if err := s.drained(ctx); err != nil {
			return "", err
		}
	}
	_, now := s.current()
	return now, nil
}
