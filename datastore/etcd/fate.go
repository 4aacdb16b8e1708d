package etcd

import (
	"context"
	"errors"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/skerry-io/skerry/internal/fault"
)

// elsewhere is where the other members answer clients, as far as this one knows.
func (m *Member) elsewhere() (urls []string) {
	for _, other := range m.etcd.Server.Cluster().Members() {
		if other.ID != m.etcd.Server.MemberID() {
			urls = append(urls, other.ClientURLs...)
		}
	}
	for _, given := range m.config.Members {
		if given != m.config.ClientURL() && !slices.Contains(urls, given) {
			urls = append(urls, given)
		}
	}
	return or1(urls, m.config.ClientURL())
}

// mark notes who this member is, and where the others are, for the day on which its data is damaged.
func (m *Member) mark() error {
	m.marking.Lock()
	defer m.marking.Unlock()
	var others []string
	for _, one := range m.etcd.Server.Cluster().Members() {
		if one.ID != m.etcd.Server.MemberID() {
			others = append(others, or1(one.ClientURLs, somebody)...)
		}
	}
	if len(others) == 0 && m.expects {
		others = []string{somebody}
	}
	return m.config.mark(hex(uint64(m.etcd.Server.MemberID())), others)
}

// expect notes that there are others, before the first of them is taken: a member that took itself for alone, and made itself anew out of what
// it has, would be a second cluster.
func (m *Member) expect() error {
	m.marking.Lock()
	defer m.marking.Unlock()
	m.expects = true
	id, others := m.config.marked()
	if id == "" || len(others) > 0 {
		return nil
	}
	return m.config.mark(id, []string{somebody})
}

// expecting is between etcd and who asks it to take a member.
func (c Config) expecting(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if _, add := request.(*etcdserverpb.MemberAddRequest); add {
		if err := c.expect(); err != nil {
			return nil, err
		}
	}
	return handler(ctx, request)
}

// or1 is urls, or the one when there are none: a client wants somewhere to go.
func or1(urls []string, one string) []string {
	if len(urls) == 0 {
		return []string{one}
	}
	return urls
}

// promote asks for a vote. Whichever member is asked passes it to the leader, which knows how far this one is.
func (m *Member) promote(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	m.outside.SetEndpoints(m.elsewhere()...)
	_, err := m.outside.MemberPromote(ctx, uint64(m.etcd.Server.MemberID()))
	switch {
	case err == nil:
		m.config.Log.Info("the member has caught up and has a vote now", "name", m.config.Name)
	case !errors.Is(err, rpctypes.ErrMemberLearnerNotReady):
		m.config.Log.Debug("the member has no vote yet", "err", err)
	}
}

// diagnose asks the other members why this one does not get anywhere.
func (m *Member) diagnose(ctx context.Context) error {
	asked, stop := context.WithTimeout(ctx, patience)
	defer stop()
	m.outside.SetEndpoints(m.elsewhere()...)
	answer, err := m.outside.MemberList(asked)
	if err != nil {
		m.config.Log.Warn("the datastore waits for a majority of its servers", "members", strings.Join(m.names(), ", "))
		return nil
	}
	if answer.Header.ClusterId != uint64(m.etcd.Server.Cluster().ID()) {
		return m.config.left("the servers that run belong to another cluster, which was made new since this one was stopped")
	}
	if !m.among(answer.Members) {
		return m.config.left("it was removed from the cluster")
	}
	return nil
}

// why is what ended etcd when nobody here did.
func (m *Member) why(ctx context.Context) error {
	if m.etcd.Server.IsIDRemoved(uint64(m.etcd.Server.MemberID())) {
		return m.config.left("it was removed from the cluster")
	}
	if err := m.broken.why(); err != nil {
		return m.stumbled(damaged{err})
	}
	client, err := m.config.others(m.elsewhere()).Client()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	asked, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if answer, err := client.MemberList(asked); err == nil && !m.among(answer.Members) {
		return m.config.left("it was removed from the cluster")
	}
	return m.config.unusable(errors.New("etcd ended by itself"))
}

func (m *Member) among(members []*etcdserverpb.Member) bool {
	return slices.ContainsFunc(members, func(one *etcdserverpb.Member) bool { return one.ID == uint64(m.etcd.Server.MemberID()) })
}

func (m *Member) names() (names []string) {
	for _, one := range m.etcd.Server.Cluster().Members() {
		names = append(names, or(one.Name, hex(uint64(one.ID))))
	}
	slices.Sort(names)
	return names
}

// move tells the cluster when this server has another address than it had.
func (m *Member) move(ctx context.Context) error {
	self := m.etcd.Server.Cluster().Member(m.etcd.Server.MemberID())
	want := []string{m.config.PeerURL()}
	if self == nil || slices.Equal(self.PeerURLs, want) {
		return nil
	}
	asked, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if _, err := m.client.MemberUpdate(asked, uint64(self.ID), want); err != nil {
		return fault.New("tell the other servers that %s is at %s now", m.config.Name, want[0]).Because(err).
			Fix("look whether another member has this address, and whether a majority of the servers runs")
	}
	m.config.Log.Info("the other servers know this one's new address", "was", self.PeerURLs, "is", want)
	return nil
}

// left is the fault of a member whose cluster goes on without it.
func (c Config) left(what string) error {
	return fault.New("the etcd member %s in %s cannot go on: %s", c.Name, c.Dir, what).
		Fix("to let this server join again, move %s/%s away and start it with the setting server; what is in it that the others do not have is lost to them", c.Dir, memberFolder)
}
