package secrets

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/value"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/run"
)

// Config is what the keys are kept with.
type Config struct {
	// Name is this server's, among those of the cluster.
	Name string
	// File is where they lie.
	File string
	// Enabled says whether Secrets shall be encrypted.
	Enabled bool
	// Waits is how long an answered write of the datastore may wait for the disk.
	Waits time.Duration
	// Renew replaces copies of the datastore, to which it may fall back, by one of now; nil where there are none.
	Renew func(context.Context) error
	// Others are the other servers of the cluster; nil where there are none.
	Others func(context.Context) ([]Other, error)
	// All are the names of all servers of the cluster, whether they run or not; nil where there are no others.
	All func(context.Context) ([]string, error)
	// Share hands the file to the other servers after a change; nil where there are none.
	Share func(context.Context) error
	// Rows is told what is in the way.
	Rows *run.Rows
	// Failpoint, if set, is told the names of places where a test can end the work.
	Failpoint func(name string)
	Log       *slog.Logger
}

// Secrets is how Secrets are stored.
type Secrets struct {
	config   Config
	stored   *transformers
	asks     chan *ask
	lacks    chan struct{} // holds a token when the file has lost keys that are in force
	turnLife time.Duration // how long a crashed server keeps the others from changing the keys
	grace    time.Duration // between the end of rewriting and forgetting the former key

	reading sync.Mutex // held from reading the file until that is in force

	mu       sync.Mutex // guards what follows
	keys     keys
	hash     string            // of the file
	changed  chan struct{}     // closed when they change
	draining []<-chan struct{} // closed each when nobody writes any more with keys that were first before
	place    *place            // nil while the API server has not asked, or when its user has it encrypt by a file of his own
	work     string            // what is being done now
	trouble  string            // why the last work did not end well
}

// place is where the API server keeps Secrets.
type place struct {
	storage storagebackend.Config
	prefix  string
}

// Open reads the keys, or makes the first one, and puts them into the order that the setting asks for. Nothing that the
// API server is to do may come before it.
func Open(c Config) (*Secrets, error) {
	if c.Failpoint == nil {
		c.Failpoint = func(string) {}
	}
	text, err := os.ReadFile(c.File)
	var k keys
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k = firstKeys()
	case err != nil:
		return nil, fault.New("read the keys of Secrets").Because(err).Fix("make %s readable", c.File)
	default:
		if k, err = decode(text); err != nil {
			return nil, fault.New("read the keys of Secrets in %s", c.File).Because(err).
				Fix("restore the file from a backup: without its keys nobody can read the cluster's Secrets")
		}
	}
	k.plain = !c.Enabled
	s := &Secrets{config: c, keys: k, stored: newTransformers(k), asks: make(chan *ask), lacks: make(chan struct{}, 1), changed: make(chan struct{}),
		turnLife: turnLife, grace: max(afterglow, c.Waits+time.Second)}
	now, err := k.encode()
	if err != nil {
		return nil, err
	}
	s.hash = hashOf(now)
	if string(now) == string(text) {
		return s, nil
	}
	if err := durable.WriteFile(c.File, now, 0o600); err != nil {
		return nil, fault.New("keep the keys of Secrets").Because(err).Fix("check that the disk is not full or read-only")
	}
	return s, nil
}

func hashOf(file []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(file)) }

// Storage tells where the API server keeps Secrets, and gives what it shall write and read them with.
func (s *Secrets) Storage(storage storagebackend.Config, prefix string) value.Transformer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place = &place{storage, prefix}
	return s.stored
}

// Reload takes what another server has put into the file. Where that has lost keys that something may be under they stay in force,
// and Run puts them back.
func (s *Secrets) Reload() error {
	s.reading.Lock()
	defer s.reading.Unlock()
	theirs, hash, err := s.read()
	if err != nil {
		return err
	}
	ours, _ := s.current()
	all := theirs.with(ours)
	if len(all.all) == len(theirs.all) {
		s.take(theirs, hash)
		return nil
	}
	text, err := all.encode()
	if err != nil {
		return err
	}
	s.take(all, hashOf(text))
	select {
	case s.lacks <- struct{}{}:
	default: // Run has not looked yet
	}
	return nil
}

// read gives what is in the file.
func (s *Secrets) read() (keys, string, error) {
	text, err := os.ReadFile(s.config.File)
	if err != nil {
		return keys{}, "", err
	}
	k, err := decode(text)
	if err != nil {
		return keys{}, "", fmt.Errorf("%s: %w", s.config.File, err)
	}
	return k, hashOf(text), nil
}

// mend puts keys that are in force back into the file.
func (s *Secrets) mend(ctx context.Context) error {
	theirs, _, err := s.read()
	if err != nil {
		return err
	}
	ours, _ := s.current()
	return s.put(ctx, theirs.with(ours))
}

// take has everything written and read with other keys from now on.
func (s *Secrets) take(k keys, hash string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hash == s.hash {
		return
	}
	s.keys, s.hash = k, hash
	s.draining = append(s.draining, s.stored.set(k))
	close(s.changed)
	s.changed = make(chan struct{})
}

// current is what is written and read with.
func (s *Secrets) current() (keys, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys, s.hash
}

// drained waits until no request is under way that wrote with keys of before.
func (s *Secrets) drained(ctx context.Context) error {
	for {
		s.mu.Lock()
		if len(s.draining) == 0 {
			s.mu.Unlock()
			return nil
		}
		first := s.draining[0]
		s.mu.Unlock()
		select {
		case <-first:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s.mu.Lock()
		if len(s.draining) > 0 && s.draining[0] == first {
			s.draining = s.draining[1:]
		}
		s.mu.Unlock()
	}
}

// errMoved says that the keys are not those any more that were to be changed.
var errMoved = errors.New("another server has changed the keys of Secrets")

// change puts other keys in force in the place of former ones. Servers may be one change apart: each reads what the other writes.
func (s *Secrets) change(ctx context.Context, former, next keys) error {
	text, err := former.encode()
	if err != nil {
		return err
	}
	if _, hash := s.current(); hash != hashOf(text) {
		return errMoved
	}
	return s.put(ctx, next)
}

// put keeps the keys on disk, gives them to the other servers, and only then writes with them.
func (s *Secrets) put(ctx context.Context, next keys) error {
	text, err := next.encode()
	if err != nil {
		return err
	}
	if err := durable.WriteFile(s.config.File, text, 0o600); err != nil {
		return fault.New("keep the keys of Secrets").Because(err).Fix("check that the disk is not full or read-only")
	}
	s.config.Failpoint("secrets/kept")
	if s.config.Share != nil {
		if err := s.config.Share(ctx); err != nil {
			return fault.New("hand the keys of Secrets to the other servers").Because(err).Fix("call `skerry secrets-encrypt rotate` when the datastore answers: it goes on where it was")
		}
	}
	s.config.Failpoint("secrets/shared")
	return s.Reload() // another server may have been faster
}

// datastore connects to where Secrets are; nil is nowhere that is known.
func (s *Secrets) datastore() (*stored, error) {
	s.mu.Lock()
	at := s.place
	s.mu.Unlock()
	if at == nil {
		return nil, nil
	}
	return open(at.storage, at.prefix)
}
