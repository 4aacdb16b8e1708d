package reach

import (
	"context"
	"net/netip"
	"sync"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// fromCache takes what the API server has at hand, without asking the datastore.
const fromCache = "0"

// cluster asks the API, each time: connections to pods are rare, and pods come and go.
type cluster struct {
	kubeconfig string
	node       string

	mu  sync.Mutex // guards api
	api kubernetes.Interface
}

// client makes a client at the first use: the kubeconfig is written when the node has joined.
func (c *cluster) client() (kubernetes.Interface, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.api != nil {
		return c.api, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return nil, err
	}
	c.api, err = kubernetes.NewForConfig(config)
	return c.api, err
}

func (c *cluster) ranges(ctx context.Context) ([]netip.Prefix, error) {
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, c.node, meta.GetOptions{ResourceVersion: fromCache})
	if err != nil {
		return nil, err
	}
	var ranges []netip.Prefix
	for _, text := range node.Spec.PodCIDRs {
		if cidr, err := netip.ParsePrefix(text); err == nil {
			ranges = append(ranges, cidr)
		}
	}
	return ranges, nil
}

func (c *cluster) has(ctx context.Context, ip netip.Addr) (bool, error) {
	client, err := c.client()
	if err != nil {
		return false, err
	}
	list, err := client.CoreV1().Pods(core.NamespaceAll).List(ctx, meta.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", c.node).String(), ResourceVersion: fromCache})
	if err != nil {
		return false, err
	}
	for _, pod := range list.Items {
		if pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed {
			continue
		}
		for _, at := range pod.Status.PodIPs {
			if has, err := netip.ParseAddr(at.IP); err == nil && has.Unmap() == ip {
				return true, nil
			}
		}
	}
	return false, nil
}
