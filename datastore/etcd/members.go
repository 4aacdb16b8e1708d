package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-io/skerry/internal/fault"
)

// Peer is a member as the cluster knows it.
type Peer struct {
	ID        uint64
	Name      string // empty until it has started once
	PeerURLs  []string
	ClientURL string // empty until it has started once
	Learner   bool   // it follows, and has no vote yet
}

// Called is its name, or its id as long as it has none.
func (p Peer) Called() string { return or(p.Name, hex(p.ID)) }

// Status is how a member is, in bytes where it is a size.
type Status struct {
	Name     string
	ID       uint64
	Cluster  uint64
	Version  string
	Leader   string // the leader's name; empty when there is none
	Leads    bool   // it is the leader itself
	Learner  bool
	Members  []Peer
	Revision int64
	Size     int64 // of the database file
	Used     int64 // of it; the rest is free for what comes
	Quota    int64 // with more than that, writes are refused
	Alarms   []string
	Doubt    error // that this member, or another one, is damaged
}

// Members asks a majority who belongs to the cluster.
func (m *Member) Members(ctx context.Context) ([]Peer, error) {
	answer, err := m.client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the members: %w", waiting(err))
	}
	return peers(answer), nil
}

func peers(answer *clientv3.MemberListResponse) []Peer {
	all := make([]Peer, 0, len(answer.Members))
	for _, one := range answer.Members {
		p := Peer{ID: one.ID, Name: one.Name, PeerURLs: one.PeerURLs, Learner: one.IsLearner}
		if len(one.ClientURLs) > 0 {
			p.ClientURL = one.ClientURLs[0]
		}
		all = append(all, p)
	}
	return all
}

// Free says why a further server may not have a name; was is what Was says on its machine.
func (m *Member) Free(ctx context.Context, name, was string) error {
	answer, err := m.client.MemberList(ctx)
	if err != nil {
		return fmt.Errorf("list the members: %w", waiting(err))
	}
	for _, one := range answer.Members {
		if one.Name == name {
			return m.config.free(ctx, name, was, one)
		}
	}
	return nil
}

// Remove takes a member out of the cluster for good. It refuses when those that are left would have no majority of servers that run.
func (m *Member) Remove(ctx context.Context, name string) error {
	all, err := m.Members(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, one := range all {
		if one.Called() == name {
			return m.remove(ctx, one)
		}
		names = append(names, one.Called())
	}
	return fault.New("remove the member %s: there is none of this name", name).Fix("the members are %s", strings.Join(names, ", "))
}

func (m *Member) remove(ctx context.Context, one Peer) error {
	_, err := m.client.MemberRemove(ctx, one.ID)
	switch {
	case err == nil:
		m.config.Log.Info("a member was removed from the cluster", "name", one.Called(), "id", hex(one.ID))
		return nil
	case errors.Is(err, rpctypes.ErrMemberNotFound):
		return nil
	case errors.Is(err, rpctypes.ErrUnhealthy), errors.Is(err, rpctypes.ErrMemberNotEnoughStarted):
		return fault.New("remove the member %s", one.Called()).Because(err).
			Fix("without it no majority of the servers would be left: start the others first, and wait five seconds")
	}
	return fmt.Errorf("remove the member %s: %w", one.Called(), err)
}

// Answers says that a member is reached from here, and is the one it was taken for.
func (m *Member) Answers(ctx context.Context, one Peer) bool {
	if one.ClientURL == "" {
		return false
	}
	return m.config.lives(ctx, &etcdserverpb.Member{ID: one.ID, ClientURLs: []string{one.ClientURL}})
}

// Status is what the member itself knows, without a question to anybody.
func (m *Member) Status(context.Context) (Status, error) {
	e := m.etcd.Server
	s := Status{
		Name: m.config.Name, ID: uint64(e.MemberID()), Cluster: uint64(e.Cluster().ID()), Version: version.Version,
		Leads: e.Leader() == e.MemberID(), Revision: e.KV().Rev(), Size: e.Backend().Size(), Used: e.Backend().SizeInUse(), Quota: m.config.Tuning.Quota,
	}
	for _, a := range e.Alarms() {
		s.Alarms = append(s.Alarms, fmt.Sprintf("%s of %s", a.Alarm, hex(a.MemberID)))
	}
	if why := m.doubt.Load(); why != nil {
		s.Doubt = *why
	}
	for _, one := range e.Cluster().Members() {
		p := Peer{ID: uint64(one.ID), Name: one.Name, PeerURLs: one.PeerURLs, Learner: one.IsLearner}
		if len(one.ClientURLs) > 0 {
			p.ClientURL = one.ClientURLs[0]
		}
		s.Members = append(s.Members, p)
		if one.ID == e.Leader() {
			s.Leader = one.Name
		}
		if one.ID == e.MemberID() {
			s.Learner = one.IsLearner
		}
	}
	return s, nil
}
