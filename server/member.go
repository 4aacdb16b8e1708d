package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/etcd"
	"github.com/skerry-io/skerry/datastore/export"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/members"
	"github.com/skerry-io/skerry/server/pki"
)

const (
	// memberGrace is how long a member's end may take: it hands on the leadership, and writes down what it knows.
	memberGrace = 16 * time.Second
	// glance is how long the status waits for what the member says of itself.
	glance = 250 * time.Millisecond
)

// endpoint is where the datastore answers.
func (s *Server) endpoint() datastore.Endpoint {
	if e := s.config.Endpoint(); e.Kind == config.KindEtcd {
		return datastore.Endpoint{URLs: e.URLs, CAFile: s.config.DatastoreCAFile, CertFile: s.config.DatastoreCertFile, KeyFile: s.config.DatastoreKeyFile}
	}
	return datastore.Endpoint{URLs: []string{"unix://" + s.socket()}}
}

// memberAddress is where members reach this one: the advertised address, unless that is only what a router in front has.
func memberAddress(advertise netip.Addr, nodeIPs []netip.Addr) netip.Addr {
	if slices.Contains(nodeIPs, advertise) {
		return advertise
	}
	return nodeIPs[0]
}

func memberConfig(c config.Server, p *pki.PKI, address netip.Addr, log *slog.Logger) etcd.Config {
	files := etcd.Certificates{CAFile: p.Authority("etcd-ca").CertFile(), CertFile: p.Member.CertFile(), KeyFile: p.Member.KeyFile()}
	return etcd.Config{Dir: c.Paths().EtcdDir(), Name: c.NodeName, Address: address, Peer: files, Client: files, Log: log}
}

// member serves what the cluster knows from etcd, which keeps it on a majority of the servers.
func (s *Server) member(ctx context.Context, ready func()) error {
	c := memberConfig(s.config, s.pki, s.address, s.log)
	c.Socket, c.Members = s.socket(), s.members
	c.SnapshotInterval, c.SnapshotCount = s.config.DatastoreSnapshotInterval, s.config.DatastoreSnapshotRetention
	c.Healed = func(h etcd.Healed) { s.lost(loss{h.When, h.String()}, true) }
	if err := s.takeAlong(ctx, c); err != nil {
		return err
	}
	m, err := etcd.Start(ctx, c)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.running.Store(m)
	renew := m.Renew
	s.refresh.Store(&renew)
	defer s.running.Store(nil)
	return m.Run(ctx, ready)
}

// takeAlong brings what a single server has kept by itself into a new member. What it was in stays beside it, under another name.
func (s *Server) takeAlong(ctx context.Context, c etcd.Config) error {
	if !s.leftover() {
		return nil
	}
	if !etcd.Exists(c.Dir) {
		if len(c.Members) > 0 { // a machine that was a server of this cluster on its own and comes back as one of several
			return fault.New("%s holds a database, and this server joins others", s.paths.DBDir()).
				Fix("move it away if what is in it is not wanted any more")
		}
		began := time.Now()
		keys, err := seedFromLocal(ctx, s.paths.DBDir(), c, s.log)
		if err != nil {
			return fault.New("bring the datastore into etcd").Because(err).
				Fix("start the server without cluster-init to go on as before: nothing was changed; see that the disk has room for a copy")
		}
		s.log.Info("the datastore was brought into etcd", "keys", keys, "took", time.Since(began).Round(time.Millisecond).String())
	}
	folder, err := local.SetAside(s.paths.DBDir())
	if err == nil {
		s.log.Info("the former database is kept; remove it when you do not need it any more", "folder", folder)
	}
	return err
}

func seedFromLocal(ctx context.Context, dir string, c etcd.Config, log *slog.Logger) (keys int64, err error) {
	opened, err := engines.Engine{Kind: engines.SQLite, Dir: dir, Log: log}.Open(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	view, err := export.Open(ctx, opened.Client)
	if err != nil {
		return 0, err
	}
	return view.Keys, etcd.Seed(ctx, c, engine.State{Revision: view.Revision}, func(each func(engine.Record) error) error {
		return view.Records(ctx, each)
	})
}

// errStarting passes.
var errStarting = errors.New("the datastore is starting")

// leaderless is how long there may be no leader before clients are sent to other servers: longer than an election takes.
const leaderless = 6 * time.Second

// stalled says that the datastore has had no leader for a while, as this server sees it. It is asked at each request, and counts from the
// first one without a leader: on a server that nobody has asked for long, too, an election is given its time.
func (s *Server) stalled() bool {
	m := s.running.Load()
	return m != nil && m.Unled() > leaderless
}

// Enter lets a further server in, see supervisor.Entry.
func (s *Server) Enter(ctx context.Context, name, was string) (wire.ServerEntered, error) {
	if s.elsewhere() {
		return wire.ServerEntered{}, fault.New("servers with a datastore of others meet there").
			Fix("start the new one with the same datastore-endpoint and token, without server")
	}
	m := s.running.Load()
	if m == nil {
		return wire.ServerEntered{}, errStarting
	}
	if err := m.Free(ctx, name, was); err != nil { // before anything is handed over; a join asks again
		return wire.ServerEntered{}, err
	}
	members, err := m.Members(ctx)
	if err != nil {
		return wire.ServerEntered{}, err
	}
	var entered wire.ServerEntered
	for _, one := range members {
		if one.ClientURL != "" && one.Name != name {
			entered.Members = append(entered.Members, one.ClientURL)
		}
	}
	entered.Files, err = s.place().Read()
	return entered, err
}

// memberDetails tells how this server's member sees the others.
func (s *Server) memberDetails() []run.Detail {
	rows := s.told.datastore.Details()
	m := s.running.Load()
	if m == nil {
		return rows
	}
	ctx, stop := context.WithTimeout(context.Background(), glance)
	defer stop()
	status, err := m.Status(ctx)
	if err != nil {
		return append(rows, run.Detail{Name: "etcd", State: "silent", Bad: true, Err: err})
	}
	if status.Leader == "" {
		rows = append(rows, run.Detail{Name: "etcd", State: "no leader", Bad: true,
			Err: fmt.Errorf("%d of %d members are needed, and too few of them answer", len(status.Members)/2+1, len(status.Members))})
	}
	for _, one := range status.Members {
		d := run.Detail{Name: "member " + one.Name, State: "follows"}
		switch {
		case one.Name == "":
			d.Name, d.State = "member at "+one.PeerURLs[0], "has not started"
		case one.Learner:
			d.State = "learns"
		case one.Name == status.Leader:
			d.State = "leads"
		}
		rows = append(rows, d)
	}
	if status.Doubt != nil {
		rows = append(rows, run.Detail{Name: "etcd data", State: "in doubt", Bad: true, Err: status.Doubt})
	}
	for _, alarm := range status.Alarms {
		rows = append(rows, run.Detail{Name: "etcd alarm", State: "alarm", Bad: true, Err: errors.New(alarm)})
	}
	return rows
}

// ResetCluster makes a cluster of this machine alone out of what its member knows, and gives the folder where what it was is kept.
func ResetCluster(ctx context.Context, c config.Server, nodeIPs []netip.Addr, log *slog.Logger) (former string, err error) {
	if dir := c.Paths().EtcdDir(); !etcd.Exists(dir) && etcd.CutOff(dir) == "" {
		return "", fault.New("reset the cluster: there is no member of etcd in %s", dir).
			Fix("run it on a server that was one of several; a server of its own needs no cluster-reset")
	}
	s := &Server{config: c, advertise: advertised(c, nodeIPs)}
	p, err := pki.Open(c.Paths().TLSDir(), s.names(nodeIPs), log)
	if err != nil {
		return "", err
	}
	if err := p.OpenMember(c.NodeName, nodeIPs, log); err != nil {
		return "", err
	}
	return etcd.Reset(ctx, memberConfig(c, p, memberAddress(s.advertise, nodeIPs), log))
}

// keepMembers removes the members of servers whose Nodes are deleted.
func (s *Server) keepMembers(ctx context.Context, ready func()) error {
	c, err := s.membership()
	if err != nil {
		return err
	}
	return members.Run(ctx, c, ready)
}

// Leave takes what the datastore has of a server out that is gone for good, see supervisor.Entry.
func (s *Server) Leave(ctx context.Context, name string) error {
	if s.elsewhere() {
		return s.strike(ctx, name)
	}
	c, err := s.membership()
	if err != nil {
		return err
	}
	return members.Remove(ctx, c, name)
}

func (s *Server) membership() (members.Config, error) {
	m := s.running.Load()
	if m == nil || s.nodes == nil || !s.nodes.HasSynced() {
		return members.Config{}, errStarting
	}
	return members.Config{Cluster: m, Own: s.config.NodeName, Nodes: s.nodes, Rows: &s.told.members, Warn: s.warn("ServerNotRemoved"), Log: s.log}, nil
}
