package server

import (
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"

	"github.com/skerry-io/skerry/server/heartbeat"
)

// heartbeats renews the leases of nodes that say so by their tunnels. Its client is made when the first one does.
func (s *Server) heartbeats() *heartbeat.Renewals {
	client := sync.OnceValues(func() (rest.Interface, error) {
		c := s.adminConfig()
		c.AcceptContentTypes = runtime.ContentTypeProtobuf
		client, err := coordination.NewForConfig(c)
		if err != nil {
			return nil, err
		}
		return client.RESTClient(), nil
	})
	return heartbeat.New(client, s.log)
}
