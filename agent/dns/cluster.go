package dns

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/kubernetes"
	"github.com/miekg/dns"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// How long after the start a question for a name of the cluster waits for the first list of them, and how often it looks.
const (
	firstWait = 5 * time.Second
	firstLook = 20 * time.Millisecond
)

// cluster answers for the names of the cluster. It outlives the settings: what it learned must not be lost with them,
// as it may be that no server is there to ask again.
type cluster struct {
	kube  *kubernetes.Kubernetes
	until time.Time // questions wait for the first list until then
}

// openCluster prepares CoreDNS' own kubernetes plugin, as `kubernetes` in a Corefile would.
func openCluster(ctx context.Context, api *rest.Config, domain string) (*cluster, error) {
	c := caddy.NewTestController(serverType, fmt.Sprintf(`kubernetes %s in-addr.arpa ip6.arpa {
		pods insecure
		fallthrough in-addr.arpa ip6.arpa
	}`, domain))
	c.Next()
	kube, err := kubernetes.ParseStanza(c)
	if err != nil {
		return nil, fmt.Errorf("the cluster's domain %s: %w", domain, err)
	}
	kube.ClientConfig = fixed{api: api}
	if _, _, err := kube.InitKubeCache(ctx); err != nil {
		return nil, fmt.Errorf("prepare to watch the cluster's names: %w", err)
	}
	return &cluster{kube: kube, until: time.Now().Add(firstWait)}, nil
}

// run learns names until ctx ends.
func (c *cluster) run(ctx context.Context) {
	end := context.AfterFunc(ctx, func() { _ = c.kube.APIConn.Stop() }) // fails only when it has stopped
	defer end()
	c.kube.APIConn.Run()
}

// handler is the link of a chain that answers for the cluster.
func (c *cluster) handler(next plugin.Handler) plugin.Handler {
	own := *c.kube // each chain has its own next; what was learned is shared
	own.Next = next
	return link{Kubernetes: &own, cluster: c}
}

type link struct {
	*kubernetes.Kubernetes
	cluster *cluster
}

// ServeDNS answers, or asks the next in the chain.
func (l link) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if time.Now().Before(l.cluster.until) && plugin.Zones(l.Zones).Matches(strings.ToLower(r.Question[0].Name)) != "" {
		l.cluster.await(ctx)
	}
	return l.Kubernetes.ServeDNS(ctx, w, r)
}

// await holds a question back that came before the first list: an answer that is wrong would be believed for a while.
func (c *cluster) await(ctx context.Context) {
	for !c.kube.APIConn.HasSynced() && time.Now().Before(c.until) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(firstLook):
		}
	}
}

// fixed hands a finished configuration to a library that expects to look for one.
type fixed struct {
	source
	api *rest.Config
}

type source = clientcmd.ClientConfig

// ClientConfig gives the configuration.
func (f fixed) ClientConfig() (*rest.Config, error) { return f.api, nil }
