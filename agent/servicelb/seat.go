package servicelb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	core "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/internal/run"
)

// Who has an address says so every pace. Who could have it listens; after silence, and the nodes before it have had their
// turn for the time of a step each, it asks whether someone answers for the address, and takes it when nobody does.
const (
	pace    = 800 * time.Millisecond
	silence = 2500 * time.Millisecond
	step    = 600 * time.Millisecond
	answer  = 200 * time.Millisecond // to each of two questions; both together less than a step
	// parting is how long after a change of who may have the address it is asked for: the one that may no longer lets go first.
	parting = 300 * time.Millisecond
	// lifetime is how long an address stays when nobody renews it: longer than a restart, and no longer than it takes until a
	// node without Skerry serves pods that are gone.
	lifetime = 5 * time.Minute
	renewal  = time.Minute
	// strange is after how much time of silent answers people are told.
	strange = 30 * time.Second
)

// place is where an address belongs on this host: a network interface, and the talk about the address there.
type place interface {
	name() string     // of the interface
	hardware() string // its address
	present() bool    // the address is on the interface, from us
	add() error       // puts it there for a lifetime, or renews it
	remove() error    // takes it off, if it is there
	listen() (line, error)
}

// line is the talk about one address on one network.
type line interface {
	ask() error
	announce() error
	heard() <-chan string // hardware address of another who says that the address is its own; closed when the line is dead
	close()
}

// seat is one address that this node may have.
type seat struct {
	ip   netip.Addr
	find func(netip.Addr) (place, error)
	tell func(kind, reason, message string) // must not block
	rows *run.Rows
	log  *slog.Logger
	rank atomic.Int32
	soon chan struct{} // of hurry

	at   place // where the address may be
	told bool  // that someone else answers
}

// run stands by for the address, has it, and stands by again. It ends with ctx, or with trouble.
func (s *seat) run(ctx context.Context) error {
	p, err := s.find(s.ip)
	if err != nil {
		return err
	}
	s.at = p
	l, err := p.listen()
	if err != nil {
		return err
	}
	defer l.close()
	has := p.present() // from before a restart
	patience := s.turn()
	for ctx.Err() == nil {
		if !has {
			if err := s.stand(ctx, l, patience); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := s.hold(ctx, l, p); err != nil {
			return err
		}
		has, patience = false, silence+s.turn()
	}
	return nil
}

// turn is how long those before this node have.
func (s *seat) turn() time.Duration { return time.Duration(s.rank.Load()) * step }

// hurry says that others may have the address than before: the one that has it may be letting go.
func (s *seat) hurry() {
	select {
	case s.soon <- struct{}{}:
	default: // it knows
	}
}

// stand waits until nobody has the address.
func (s *seat) stand(ctx context.Context, l line, patience time.Duration) error {
	s.say("standing by", false, nil)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var since time.Time // of answers without announcements
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.soon:
			timer.Reset(parting + s.turn())
		case _, alive := <-l.heard():
			if !alive {
				return errDead
			}
			since = time.Time{}
			s.say("standing by", false, nil)
			timer.Reset(silence + s.turn())
		case <-timer.C:
			by, err := answered(ctx, l)
			if err != nil || by == "" {
				return err
			}
			if since.IsZero() {
				since = time.Now()
			}
			s.stranger(by, since)
			timer.Reset(silence + s.turn())
		}
	}
}

// stranger tells people, once, of an answer by someone who announces nothing.
func (s *seat) stranger(by string, since time.Time) {
	if s.told || s.rank.Load() > 0 || time.Since(since) < strange {
		return
	}
	s.told = true
	s.say("in use", true, errors.New(by+" answers for it, and does not announce it"))
	message := fmt.Sprintf("%s does not announce %s, but answers for it: another device has the address, or Skerry is stopped there", by, s.ip)
	s.log.Warn("an address of a Service is in use", "address", s.ip, "by", by)
	s.tell(core.EventTypeWarning, "AddressInUse", message)
}

// answered asks twice who has the address.
func answered(ctx context.Context, l line) (by string, err error) {
	for range 2 {
		if err := l.ask(); err != nil {
			return "", err
		}
		timer := time.NewTimer(answer)
		select {
		case <-ctx.Done():
		case <-timer.C:
			continue
		case from, alive := <-l.heard():
			timer.Stop()
			if !alive {
				return "", errDead
			}
			return from, nil
		}
		timer.Stop()
		return "", nil
	}
	return "", nil
}

// hold has the address until another has more right to it.
func (s *seat) hold(ctx context.Context, l line, p place) error {
	if err := p.add(); err != nil {
		return err
	}
	if err := l.announce(); err != nil {
		return err
	}
	s.told = false
	s.say("announced", false, nil)
	s.log.Info("this node announces an address of a Service", "address", s.ip, "interface", p.name())
	s.tell(core.EventTypeNormal, "AddressAnnounced", fmt.Sprintf("%s is announced on %s", s.ip, p.name()))
	say, renew := time.NewTicker(pace), time.NewTicker(renewal)
	defer say.Stop()
	defer renew.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case by, alive := <-l.heard():
			if !alive {
				return errDead
			}
			if by > p.hardware() { // both ends decide the same
				s.log.Info("another node announces an address as well, and keeps it", "address", s.ip, "by", by)
				return p.remove()
			}
			if err := l.announce(); err != nil {
				return err
			}
		case <-say.C:
			if err := l.announce(); err != nil {
				return err
			}
		case <-renew.C:
			if err := p.add(); err != nil {
				return err
			}
		}
	}
}

// say has the status tell of the address.
func (s *seat) say(state string, bad bool, err error) {
	s.rows.Set(run.Detail{Name: s.ip.String(), State: state, Bad: bad, Err: err})
}

// release takes the address off the interface, if it is there.
func (s *seat) release() error {
	if s.at == nil {
		return nil
	}
	return s.at.remove()
}
