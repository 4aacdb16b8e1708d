package join

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/wire"
)

// TestAClockThatIsWrong: node and server accept each other's certificates whatever the clock of one of them says, within
// a certificate's life. Hosts for tests cannot have a clock of their own, so it is tried here.
func TestAClockThatIsWrong(t *testing.T) {
	c := newCluster(t)
	n := mustStart(t, c.node(t, "pi"))
	serving, err := n.Serving()
	if err != nil {
		t.Fatal(err)
	}
	for what, at := range map[string]time.Time{
		"hours behind": time.Now().Add(-12 * time.Hour), "hours ahead": time.Now().Add(12 * time.Hour), "never set": time.Unix(1, 0),
	} {
		trust := &tls.Config{RootCAs: n.ServerCA(), Certificates: []tls.Certificate{n.Client()}, Time: func() time.Time { return at }}
		if status, text := c.callWith(t, trust, http.MethodGet, wire.PathConfig, nil); status != http.StatusOK {
			t.Errorf("a node's clock %s: %d %s", what, status, text)
		}
		client := n.Client()
		for _, check := range []struct {
			cert  *x509.Certificate
			roots *x509.CertPool
			usage x509.ExtKeyUsage
		}{
			{client.Leaf, n.ClientCA(), x509.ExtKeyUsageClientAuth},
			{serving.Leaf, n.ServerCA(), x509.ExtKeyUsageServerAuth},
		} {
			if _, err := check.cert.Verify(x509.VerifyOptions{Roots: check.roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{check.usage}}); err != nil {
				t.Errorf("a server's clock %s: %v", what, err)
			}
		}
	}
}
