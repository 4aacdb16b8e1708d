package server

import (
	"context"
	"slices"

	core "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/servicelb"
)

// servicelb gives Services of type LoadBalancer their addresses, or takes back what an earlier start has given.
func (s *Server) servicelb(ctx context.Context, ready func()) error {
	client, err := s.admin()
	if err != nil {
		return err
	}
	if !slices.Contains(s.config.Disable, wire.ComponentServiceLB) {
		return servicelb.Run(ctx, client, servicelb.Config{Nodes: s.nodes, Pool: s.config.ServiceLBPool, Reserved: s.reservedPorts(),
			NodePorts: s.config.ServiceNodePortRange, Rows: &s.told.servicelb, Log: s.log}, ready)
	}
	if err := servicelb.Leave(ctx, client, s.log); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	ready()
	<-ctx.Done()
	return nil
}

// reservedPorts are those that no Service may have at the addresses of nodes: kube-proxy would lead away what a node, or who
// looks after it, needs.
func (s *Server) reservedPorts() []servicelb.Reserved {
	return []servicelb.Reserved{
		{Protocol: core.ProtocolTCP, Port: s.config.HTTPSListenPort, Owner: "the API server"},
		{Protocol: core.ProtocolTCP, Port: 10250, Owner: "the kubelet"},
		{Protocol: core.ProtocolTCP, Port: 2379, Owner: "etcd"},
		{Protocol: core.ProtocolTCP, Port: 2380, Owner: "etcd"},
		{Protocol: core.ProtocolTCP, Port: 22, Owner: "SSH"},
		{Protocol: core.ProtocolUDP, Port: 8472, Owner: "the network between pods"},
		{Protocol: core.ProtocolUDP, Port: 51820, Owner: "the network between pods"},
	}
}
