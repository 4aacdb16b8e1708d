package server

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/skerry-io/skerry/datastore/etcd"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/entry"
	"github.com/skerry-io/skerry/server/leading"
	"github.com/skerry-io/skerry/server/nodesettings"
	"github.com/skerry-io/skerry/server/secrets"
	"github.com/skerry-io/skerry/server/shared"
	"github.com/skerry-io/skerry/server/token"
)

// several says that this cluster has, or may have, several servers: then they agree on who does what, and share what they are known by.
func (s *Server) several() bool { return s.shared != nil }

// place is where the files lie that all servers share.
func (s *Server) place() shared.Place {
	return shared.Place{Dir: s.paths.ServerDir(), Names: s.paths.Shared()}
}

// enter decides whether this server keeps its datastore in etcd, and gets what a further server needs, before any of it is read. A server
// that has a member already needs nobody for that.
func (s *Server) enter(ctx context.Context) error {
	if s.elsewhere() {
		return nil // also with a member that was left here before
	}
	joined := etcd.Exists(s.paths.EtcdDir()) || etcd.Condemned(s.paths.EtcdDir())
	s.inEtcd = joined || s.config.ClusterInit || s.config.Server != ""
	if joined {
		return nil
	}
	if s.config.Server == "" {
		return s.begins()
	}
	with, err := wire.ParseToken(s.config.Token.Reveal())
	if err != nil {
		return err
	}
	s.log.Info("this machine becomes a further server", "of", s.config.Server)
	s.members, err = entry.Enter(ctx, entry.Config{Server: s.config.Server, Token: with, Name: s.config.NodeName,
		Was: etcd.Was(s.paths.EtcdDir()), Cluster: s.cluster(), Place: s.place(), Log: s.log})
	return err
}

// begins says why this server may not begin with a datastore of its own: it had one together with others, who do not know that it is gone,
// and go on. An empty one beside theirs, known by the same authorities, would be a second cluster that agents and clients take for the first.
func (s *Server) begins() error {
	dir := s.paths.EtcdDir()
	if s.leftover() || !etcd.Lost(dir) {
		return nil
	}
	if etcd.CutOff(dir) != "" {
		return fault.New("a reset of the cluster was cut off on this server").Fix("run `skerry server --cluster-reset` again")
	}
	return fault.New("this server was one of several, and its part of their datastore is not in %s any more", dir).
		Fix("set server to the URL of another server, and remove cluster-init, so that it joins them anew; if there is no other, restore a backup; " +
			"`skerry reset` makes it a new machine")
}

// agree prepares what servers of one cluster agree by.
func (s *Server) agree() {
	c := shared.Config{Place: s.place(), Secret: func() string { return s.tokens.Server().Secret }, Log: s.log}
	if s.elsewhere() && s.ownNode() == "" {
		c.Name = s.config.NodeName
	}
	if s.config.AgentToken != "" {
		c.Settings = []string{"agent-token"}
	}
	s.shared = shared.New(c)
	s.shared.OnChange(s.reload)
	s.lead = leading.New(s.config.NodeName+" at "+s.advertise.String(), s.log)
}

// reload puts into force what another server has changed.
func (s *Server) reload(ctx context.Context, names []string) {
	for _, of := range []struct {
		what string
		call func() error
		when func(name string) bool
	}{
		{"tokens", s.tokens.Reload, func(name string) bool { return name == "token" || name == "agent-token" }},
		{"keys of Secrets", s.secrets.Reload, func(name string) bool { return s.place().Dir+"/"+name == s.paths.EncryptionFile() }},
	} {
		if !slices.ContainsFunc(names, of.when) {
			continue
		}
		if err := of.call(); err != nil {
			s.log.Error("what another server has changed is not in force here", "what", of.what, "err", err)
		}
	}
}

// onOneServer are the services that one server at a time runs for all.
func onOneServer() []string {
	return []string{"controllers", "scheduler", "dns-service", "policy-rights", "nodesettings", "runtimeclasses", "servicelb", "autonomy", "hold", "helm", "backups"}
}

// together makes of a server's table that of one of several: they share files, and one leads.
func (s *Server) together(table []run.Service) []run.Service {
	if !s.several() {
		return table
	}
	table = append(table,
		run.Service{Name: "shared", Needs: []string{"datastore"}, Run: s.share},
		run.Service{Name: "lease", Needs: []string{"apiserver"}, Run: s.elect, Grace: 5 * time.Second, Details: s.lead.Details})
	if s.ownNode() != "" {
		table = append(table, run.Service{Name: "node-role", Needs: []string{"apiserver"}, Run: s.giveRole, Again: run.Backoff{Min: time.Second, Max: time.Minute}})
	}
	if s.inEtcd {
		table = append(table, run.Service{Name: "members", Needs: []string{"apiserver"}, Run: s.keepMembers, Again: run.Backoff{Min: time.Second, Max: time.Minute},
			Details: s.told.members.Details})
	}
	for i := range table {
		switch row := &table[i]; {
		case slices.Contains(onOneServer(), row.Name):
			row.Needs, row.Run = []string{"lease"}, s.lead.Only(row.Run)
		case row.Name == "storage":
			row.Needs = append(slices.Clone(row.Needs), "lease") // a part of it is onlyLeading's, and has ended before the lease is given back
		case row.Name == "apiserver":
			row.Needs = []string{"port", "shared"} // it reads the files
		case row.Name == "datastore" && s.inEtcd:
			row.Grace = memberGrace
		}
	}
	return table
}

// onlyLeading has something done while this server leads.
func (s *Server) onlyLeading(do func(ctx context.Context, ready func()) error) func(ctx context.Context, ready func()) error {
	return s.lead.Only(do)
}

// giveRole marks this server's own Node.
func (s *Server) giveRole(ctx context.Context, ready func()) error {
	client, err := s.admin()
	if err != nil {
		return err
	}
	return nodesettings.GiveRole(ctx, client, nodesettings.Config{Own: s.ownNode(), Member: s.inEtcd, Nodes: s.nodes, Log: s.log}, ready)
}

// share keeps the files those of all servers.
func (s *Server) share(ctx context.Context, ready func()) error {
	client, err := s.endpoint().Client()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return s.shared.Run(ctx, client, ready)
}

// elect has one of the servers lead.
func (s *Server) elect(ctx context.Context, ready func()) error {
	c := s.adminConfig()
	c.Timeout = leading.Patience
	client, err := kubernetes.NewForConfig(c)
	if err != nil {
		return err
	}
	return s.lead.Run(ctx, client, ready)
}

// tokenConfig says how tokens are kept.
func (s *Server) tokenConfig() token.Config {
	return token.Config{File: s.paths.TokenFile(), AgentFile: s.paths.AgentTokenFile(), Chosen: s.config.Token.Reveal(),
		Agent: s.config.AgentToken.Reveal(), Shared: s.several()}
}

// others are the other servers that run, for those who speak with each of them.
func (s *Server) others(ctx context.Context) ([]secrets.Other, error) {
	all, err := s.entered(ctx)
	if err != nil {
		return nil, err
	}
	var others []secrets.Other
	for _, at := range all {
		if at == s.advertised() {
			continue
		}
		c := rest.CopyConfig(s.adminConfig())
		c.Host = at
		transport, err := rest.TransportFor(c)
		if err != nil {
			return nil, fmt.Errorf("reach the server %s: %w", at, err)
		}
		others = append(others, secrets.Other{URL: at, Client: &http.Client{Transport: transport}})
	}
	return others, nil
}

// hostOf is the address in a URL.
func hostOf(text string) (netip.Addr, bool) {
	at, err := url.Parse(text)
	if err != nil {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(at.Hostname())
	return ip.Unmap(), err == nil
}

// leftover is a datastore that nothing uses any more, because its content went into etcd.
func (s *Server) leftover() bool { return local.Exists(s.paths.DBDir()) }
