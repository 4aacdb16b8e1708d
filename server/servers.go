package server

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/server/nodesettings"
	"github.com/skerry-io/skerry/server/shared"
)

// kubernetesService is what every API server enters itself into, in the namespace default.
const kubernetesService = "kubernetes"

// servers are the URLs of the cluster's servers as far as they are known: those that have entered themselves lately, and this one.
func (s *Server) servers(ctx context.Context) []string {
	urls, err := s.entered(ctx)
	if err != nil {
		s.log.Debug("only this server is told of", "err", err)
		return []string{s.advertised()}
	}
	return urls
}

// entered are the URLs of all servers that have entered themselves lately, and of this one.
func (s *Server) entered(ctx context.Context) ([]string, error) {
	urls := []string{s.advertised()}
	if !s.several() {
		return urls, nil
	}
	client, err := s.admin()
	if err != nil {
		return nil, err
	}
	found, err := client.DiscoveryV1().EndpointSlices(meta.NamespaceDefault).List(ctx, meta.ListOptions{
		LabelSelector: labels.Set{discovery.LabelServiceName: kubernetesService}.String()})
	if err != nil {
		return nil, err
	}
	for _, slice := range found.Items {
		if len(slice.Ports) == 0 || slice.Ports[0].Port == nil {
			continue
		}
		for _, e := range slice.Endpoints {
			for _, address := range e.Addresses {
				at := "https://" + net.JoinHostPort(address, strconv.Itoa(int(*slice.Ports[0].Port)))
				if !slices.Contains(urls, at) {
					urls = append(urls, at)
				}
			}
		}
	}
	return urls, nil
}

// allServers are the names of the servers that a Node, a member of the datastore or the roll is of, whether they run or not.
func (s *Server) allServers(ctx context.Context) (names []string, err error) {
	if s.nodes == nil || !s.nodes.HasSynced() {
		return nil, errors.New("the nodes are not known yet")
	}
	for _, object := range s.nodes.GetStore().List() {
		if n, ok := object.(*core.Node); ok && nodesettings.IsServer(n) {
			names = append(names, n.Name)
		}
	}
	if s.elsewhere() {
		listed, err := s.enlisted(ctx)
		for _, name := range listed {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		return names, err
	}
	if !s.inEtcd {
		return names, nil
	}
	m := s.running.Load()
	if m == nil {
		return nil, errStarting
	}
	members, err := m.Members(ctx)
	for _, one := range members {
		if one.Name != "" && !slices.Contains(names, one.Name) { // without one it has never run
			names = append(names, one.Name)
		}
	}
	return names, err
}

// enlisted are the servers at a datastore of others that have no Node.
func (s *Server) enlisted(ctx context.Context) (names []string, err error) {
	client, err := s.endpoint().Client()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return shared.Enlisted(ctx, client)
}

// strike takes a server off the roll that is gone for good.
func (s *Server) strike(ctx context.Context, name string) (err error) {
	listed, err := s.enlisted(ctx)
	switch {
	case err != nil:
		return err
	case !slices.Contains(listed, name):
		return fault.New("remove the server %s: there is none of this name without a node", name).
			Fix("those that there are: %s; one with a node is removed by `kubectl delete node`", cmp.Or(strings.Join(listed, ", "), "none"))
	}
	others, err := s.others(ctx)
	if err != nil {
		return err
	}
	for _, other := range others {
		if is, err := other.Name(ctx); err != nil || is == name {
			return fault.New("remove the server %s: it runs, or %s does not say who it is", name, other.URL).Because(err).Fix("stop that server first, and wait for half a minute")
		}
	}
	client, err := s.endpoint().Client()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return shared.Strike(ctx, client, name)
}

// takenByServers are the addresses of servers for which a node gets no certificate, as it could pass for the API server there: all but
// those of its own, if it is the node of a server.
func (s *Server) takenByServers(ctx context.Context, node string) []netip.Addr {
	var taken []netip.Addr
	for _, text := range s.servers(ctx) {
		if ip, is := hostOf(text); is {
			taken = append(taken, ip)
		}
	}
	if own := s.addressesOfServer(node); len(own) > 0 {
		taken = slices.DeleteFunc(taken, func(ip netip.Addr) bool { return slices.Contains(own, ip) })
	}
	return taken
}

// addressesOfServer are those of a node that is a server; a node cannot call itself one.
func (s *Server) addressesOfServer(name string) (own []netip.Addr) {
	if s.nodes == nil {
		return nil
	}
	object, found, err := s.nodes.GetStore().GetByKey(name)
	node, ok := object.(*core.Node)
	if err != nil || !found || !ok || !nodesettings.IsServer(node) {
		return nil
	}
	for _, a := range node.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil {
			own = append(own, ip.Unmap())
		}
	}
	return own
}
