package join

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/agent/identity"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/nodes"
)

// lateNode has joined, and its certificates are over by now; its token is not one any more.
func (c *cluster) lateNode(t *testing.T, name string) identity.Config {
	t.Helper()
	c.pki.NodeLife = time.Second
	config := c.node(t, name)
	n := mustStart(t, config)
	c.register(t, name)
	time.Sleep(time.Until(n.Client().Leaf.NotAfter) + 20*time.Millisecond)
	c.pki.NodeLife = 0
	config.Token = says(wire.Token{CAHash: c.tokens.Agent().CAHash, Secret: "replaced since"})
	return config
}

func TestANodeThatWasAwayForLongerThanItsCertificatesAreGood(t *testing.T) {
	c := newCluster(t)
	config := c.lateNode(t, "pi")
	n := mustStart(t, config)
	if !n.Counts() || time.Until(n.Client().Leaf.NotAfter) < 24*time.Hour {
		t.Errorf("it has a certificate until %s", n.Client().Leaf.NotAfter)
	}
	if status, text := c.call(t, n, http.MethodGet, wire.PathConfig, nil); status != http.StatusOK {
		t.Errorf("with it: %d %s", status, text)
	}
}

func TestANodeThatWasGivenUpWhileItWasAwayStaysOut(t *testing.T) {
	for name, c := range map[string]struct {
		give   func(t *testing.T, c *cluster)
		reason string
		cure   string
	}{
		"its key is forgotten": {func(t *testing.T, c *cluster) {
			if err := nodes.Forget(t.Context(), c.api, "pi"); err != nil {
				t.Fatal(err)
			}
		}, "no key is recorded", "skerry token create"},
		"its Node is deleted": {func(t *testing.T, c *cluster) {
			if err := c.api.CoreV1().Nodes().Delete(t.Context(), "pi", meta.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}, "was deleted while its certificates ran out", "skerry token create"},
		"another has the name": {func(t *testing.T, c *cluster) {
			if err := nodes.Forget(t.Context(), c.api, "pi"); err != nil {
				t.Fatal(err)
			}
			mustStart(t, c.node(t, "pi"))
		}, "belongs to another machine", "skerry node replace pi"},
	} {
		cluster := newCluster(t)
		config := cluster.lateNode(t, "pi")
		c.give(t, cluster)
		_, err := start(t, config)
		wantRefused(t, name, err, c.reason, c.cure)
	}
}

// A key alone, or a certificate alone, is no proof.
func TestACertificateThatIsOverIsWorthNothingElsewhere(t *testing.T) {
	c := newCluster(t)
	c.pki.NodeLife = time.Second
	n := mustStart(t, c.node(t, "pi"))
	c.register(t, "pi")
	time.Sleep(time.Until(n.Client().Leaf.NotAfter) + 20*time.Millisecond)
	if status, _ := c.call(t, n, http.MethodGet, wire.PathConfig, nil); status != http.StatusUnauthorized {
		t.Errorf("the settings of the cluster: %d", status)
	}
	other := mustStart(t, c.node(t, "attic")) // shows the certificate of another, without its key
	stolen := tls.Certificate{Certificate: n.Client().Certificate, PrivateKey: other.Client().PrivateKey}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: n.ServerCA(), Certificates: []tls.Certificate{stolen}}}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Post(c.URL+wire.PathCertificates, "application/json", http.NoBody)
	if err == nil {
		defer answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			t.Error("it got certificates")
		}
	}
}
