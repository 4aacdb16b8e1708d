package apiserver

import (
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/server/egressselector"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// dialThrough makes the API server call kubelets, pods, webhooks and extension API servers by the dialer of the
// configuration. Upstream means it to be told by a file of the address of a proxy, through which every byte would be
// copied once more; what that file leads to inside are these two fields. Who names a file of his own gets that.
func (s *Server) dialThrough(config *app.Config) {
	if s.config.Dial == nil || config.KubeAPIs.ControlPlane.Generic.EgressSelector != nil {
		return
	}
	selector := egressselector.NewEgressSelectorWithMap(map[egressselector.EgressType]utilnet.DialFunc{egressselector.Cluster: s.config.Dial})
	config.KubeAPIs.Extra.KubeletClientConfig.Lookup = selector.Lookup
	// The proxy subresources, webhooks and the aggregator share this one transport, or take its dialer.
	config.KubeAPIs.ControlPlane.ProxyTransport.DialContext = s.config.Dial
}
