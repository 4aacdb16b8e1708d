package etcd

import (
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// launch starts etcd in a goroutine of its own, which etcd may end: the error is damaged then. It is abandoned, too, when etcd did not end with
// that: one of its goroutines may wait for ever for another that it has ended.
func launch(c Config, settings *embed.Config) (*embed.Etcd, *broken, error) {
	b := &broken{told: make(chan struct{})}
	settings.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger(c.Log, b.tell))
	ended := make(chan started, 1)
	go func() {
		var s started
		defer func() { ended <- s }()
		defer caught(&s.panicked)
		s.etcd, s.err = embed.StartEtcd(settings)
	}()
	told, late := b.told, (<-chan time.Time)(nil)
	for {
		select {
		case s := <-ended:
			return s.judge(b)
		case <-told:
			told, late = nil, time.After(patience)
		case <-late:
			go func() { _, _, _ = (<-ended).judge(b) }()
			return nil, nil, damaged{abandoned{b.why()}}
		}
	}
}

// started is what became of a start.
type started struct {
	etcd     *embed.Etcd
	err      error
	panicked error
}

// judge tells a member that runs from one that does not, and ends one that cannot go on.
func (s started) judge(b *broken) (*embed.Etcd, *broken, error) {
	switch why := b.why(); {
	case why != nil && s.etcd != nil:
		go end(s.etcd)
		return nil, nil, damaged{abandoned{why}}
	case why != nil:
		return nil, nil, damaged{why}
	case s.panicked != nil:
		return nil, nil, damaged{s.panicked}
	}
	return s.etcd, b, s.err
}

// end ends etcd in order. Close alone would wait until it is ready.
func end(e *embed.Etcd) {
	select {
	case <-e.Server.ReadyNotify():
	default:
		e.Server.Stop()
	}
	e.Close()
}

// abandoned is the end of a start that goes on somewhere: until the process ends, the directory and the ports may be in use.
type abandoned struct{ error }

func (a abandoned) Unwrap() error { return a.error }
