package dns

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"

	core "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/run"
)

// settings make a chain of what the users and the host say, and another one when that changes.
type settings struct {
	config  Config
	client  kubernetes.Interface
	cluster *cluster
	outside outside
	answers answers

	mu    sync.Mutex // guards what follows
	given *core.ConfigMap

	// What follows is only touched by one renewal after another.
	custom    map[string]string // of the chain at work
	tried     map[string]string // the last that was looked at; differs from custom when it has a mistake
	upstreams []netip.AddrPort  // of the chain at work
}

// take notes what the users' ConfigMap says; nil when there is none.
func (s *settings) take(given *core.ConfigMap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given = given
}

// first puts the settings to work that need no server.
func (s *settings) first() error {
	s.upstreams = s.ask()
	s.sayUpstreams()
	return s.apply(nil, s.upstreams)
}

// ask gives the servers for names outside of the cluster as they are now.
func (s *settings) ask() []netip.AddrPort {
	return upstreams(s.config.ResolvConf(), cmp.Or(s.config.upstreamPort, 53), s.config.Own)
}

// follow renews the chain at each change until ctx ends.
func (s *settings) follow(ctx context.Context, changed <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			s.renew(ctx)
		}
	}
}

// renew puts another chain to work when that is due. Users' settings with a mistake leave those before at work.
func (s *settings) renew(ctx context.Context) {
	s.mu.Lock()
	given := s.given
	s.mu.Unlock()
	var texts map[string]string
	if given != nil {
		texts = given.Data
	}
	if !maps.Equal(texts, s.tried) {
		s.tried = texts
		s.try(ctx, given, texts)
	}
	if now := s.ask(); !slices.Equal(now, s.upstreams) {
		if err := s.apply(s.custom, now); err != nil {
			s.config.Log.Error("the host's DNS servers changed, but could not be taken over", "servers", now, "err", err)
		}
		s.upstreams = now
		s.sayUpstreams()
	}
}

// try puts the users' settings to work, or tells of their mistake.
func (s *settings) try(ctx context.Context, given *core.ConfigMap, texts map[string]string) {
	if err := s.apply(texts, s.upstreams); err != nil {
		s.config.Rows.Set(run.Detail{Name: customName, State: "refused", Bad: true, Err: err})
		s.config.Log.Error("the DNS settings in ConfigMap "+customName+" have a mistake, so those before stay in use", "err", err)
		s.tell(ctx, given, err)
		return
	}
	s.custom = texts
	if len(texts) == 0 {
		s.config.Rows.Drop(customName)
	} else {
		s.config.Rows.Set(run.Detail{Name: customName, State: "in use"})
	}
	s.config.Log.Info("the DNS settings in ConfigMap "+customName+" are in use", "keys", slices.Sorted(maps.Keys(texts)))
}

func (s *settings) sayUpstreams() {
	s.outside.named(len(s.upstreams))
	if len(s.upstreams) == 0 {
		s.config.Log.Warn("this host names no DNS server, so pods can resolve names of the cluster only")
		return
	}
	s.config.Log.Info("names of the world outside are asked of the host's DNS servers", "servers", s.upstreams)
}

// apply makes a chain and puts it to work.
func (s *settings) apply(custom map[string]string, upstreams []netip.AddrPort) error {
	blocks, err := corefile(upstreams, custom)
	if err != nil {
		return err
	}
	next, err := newChain(blocks, links{"cache": s.cluster.handler, "forward": s.outside.link})
	if err != nil {
		return err
	}
	s.answers.replace(next, grace)
	return nil
}
