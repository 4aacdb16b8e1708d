package cluster

import (
	"context"
	"net"
	"strconv"

	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Servers are the addresses, as HOST:PORT, under which the API servers of the cluster announce themselves.
func Servers(ctx context.Context, client kubernetes.Interface) ([]string, error) {
	slices, err := client.DiscoveryV1().EndpointSlices(meta.NamespaceDefault).List(ctx, meta.ListOptions{LabelSelector: discovery.LabelServiceName + "=kubernetes"})
	if err != nil {
		return nil, Explain(err, "look up the servers of the cluster")
	}
	var all []string
	for _, slice := range slices.Items {
		for _, endpoint := range slice.Endpoints {
			for _, address := range endpoint.Addresses {
				for _, port := range slice.Ports {
					if port.Port != nil {
						all = append(all, net.JoinHostPort(address, strconv.Itoa(int(*port.Port))))
					}
				}
			}
		}
	}
	return all, nil
}
