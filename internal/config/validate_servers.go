package config

import (
	"net/url"
	"strings"

	"github.com/skerry-io/skerry/internal/fault"
)

// validateServer wants the address of a server of a cluster.
func validateServer(text string, p *fault.Problems) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		p.Add("server", "server %q is not the address of a server", text).Fix("write https://HOST:PORT, for example https://10.0.0.1:6443")
	}
}

// validateServers refuses what a server cannot be at the same time. Whether it has joined already the settings do not say, so
// that all of them may stay as they were when it did.
func (s Server) validateServers(p *fault.Problems) {
	if s.Server != "" {
		validateServer(s.Server, p)
	}
	others := s.DatastoreEndpoint != ""
	switch {
	case s.Server != "" && s.ClusterInit:
		p.Add("server", "server and cluster-init are both set: a cluster is begun or joined").
			Fix("set cluster-init on the first server alone, and server on all others")
	case s.Server != "" && others:
		p.Add("server", "server and datastore-endpoint are both set: servers with a datastore of others meet there").
			Fix("remove server; give every server the same datastore-endpoint and token")
	case s.Server != "" && s.Token == "" && s.TokenFile == "":
		p.Add("token", "a further server needs the server token of its cluster").
			Fix("set token or token-file; the other servers keep it in %s", s.Paths().TokenFile())
	case s.ClusterInit && others:
		p.Add("cluster-init", "cluster-init and datastore-endpoint are both set: etcd is inside or elsewhere").Fix("remove one of the two")
	}
	switch {
	case s.ClusterReset && s.Server != "":
		p.Add("cluster-reset", "cluster-reset and server are both set: a reset leaves the other servers").
			Fix("run it without server, on one server; make the others join again afterwards, after `skerry reset` there")
	case s.ClusterReset && others:
		p.Add("cluster-reset", "cluster-reset is for etcd inside the servers, and datastore-endpoint is set").Fix("look after the datastore where it runs")
	}
}
