package etcd

import (
	"sync"
	"time"
)

// spell is a time without a leader. etcd tells when one is elected and not when it is lost: so a spell begins when somebody asks.
type spell struct {
	mu    sync.Mutex      // guards what follows
	began time.Time       // when it was asked for the first time in it
	over  <-chan struct{} // closes with the next election; nil: it was never asked without a leader
}

// length is how long it is known to last, 0 while there is a leader. elected closes when there is another, and was read before led.
func (s *spell) length(led bool, elected <-chan struct{}) time.Duration {
	if led {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over != elected {
		s.began, s.over = time.Now(), elected
	}
	return time.Since(s.began)
}

// Unled is how long the member is known to have had no leader, from the first time on that this was asked; 0 while it has one. Without one
// it answers nothing that needs a majority. To ask costs next to nothing.
func (m *Member) Unled() time.Duration {
	elected := m.etcd.Server.LeaderChangedNotify()
	return m.unled.length(m.etcd.Server.Leader() != 0, elected)
}
