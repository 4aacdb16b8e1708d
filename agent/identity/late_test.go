package identity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// lateNode is one that has joined f, and whose certificates are over.
func lateNode(t *testing.T, f *fakeServer) Config {
	t.Helper()
	c := joinedNode(t, f)
	age(t, f, c, -time.Minute)
	return c
}

func TestANodeWhoseCertificatesAreOverRenewsThemWithItsKey(t *testing.T) {
	f := newFake(t, plain)
	c := lateNode(t, f)
	c.Token = tokenOf(wire.Token{CAHash: f.token.CAHash, Secret: "replaced since"})
	n := live(t, c)
	if !n.Counts() || f.asked(wire.PathCertificates) != 1 || f.asked(wire.PathJoin) != 1 {
		t.Errorf("it is ready with certificates that count: %t, after %d renewals and %d joins", n.Counts(), f.asked(wire.PathCertificates), f.asked(wire.PathJoin))
	}
	if len(f.sent()) != 1 {
		t.Errorf("the token was sent again: %q", f.sent())
	}
}

func TestANodeWhoseCertificatesAreOverStartsAloneAndRenewsWhenAServerIsBack(t *testing.T) {
	f := newFake(t, plain)
	c := lateNode(t, f)
	at := f.URL
	c.Server, c.Endpoint = "https://127.0.0.1:1", "https://127.0.0.1:1"
	there := make(chan struct{})
	c.Others = func() []string {
		select {
		case <-there:
			return []string{"https://127.0.0.1:1", at}
		default:
			return nil
		}
	}
	began := time.Now()
	n := live(t, c)
	if took := time.Since(began); took > latePatience+time.Second || n.Counts() {
		t.Errorf("it is ready after %s; its certificates count: %t", took, n.Counts())
	}
	if !strings.Contains(n.diary.String(), "goes on alone") {
		t.Errorf("nobody is told: %s", &n.diary)
	}
	close(there)
	eventually(t, "it renews at another server that it knows", n.Counts)
}

// What a node's components trust is enough to ask their endpoint, whatever the time of the cluster's certificates.
func TestComponentsTrustTheirEndpointWhenTheCertificatesAreOver(t *testing.T) {
	f := newFake(t, plain)
	c := lateNode(t, f)
	good := live(t, joinedNode(t, f))
	f.Close()
	late := live(t, c)
	for name, n := range map[string]*life{"good": good, "over": late} {
		config, err := clientcmd.BuildConfigFromFlags("", n.KubeletConfig())
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(config.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		serving, err := n.Serving()
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
		if _, err := serving.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "127.0.0.1"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if own := serving.Leaf.Equal(n.local.Leaf); own != (n == late) {
			t.Errorf("%s: it serves with its own certificate: %t", name, own)
		}
	}
	before := late.authority
	if again := live(t, c); !again.authority.Equal(before) {
		t.Error("its own authority is another one after each start")
	}
}

func TestTheNodesOwnAuthorityIsForTheAPIServersNamesOnly(t *testing.T) {
	key, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{config: Config{Dir: t.TempDir(), Name: "pi"}, key: key}
	cluster := wire.Cluster{ClusterDomain: "cluster.local", ServiceCIDR: []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16"), netip.MustParsePrefix("fd00:43::/112")}}
	authority, local, err := n.vouch(cluster)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	for _, name := range []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "10.43.0.1", "fd00:43::1", "127.0.0.1", "localhost"} {
		if _, err := local.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if certs.Over(local.Leaf) || time.Until(local.Leaf.NotAfter) < 50*365*24*time.Hour {
		t.Errorf("it ends at %v", local.Leaf.NotAfter)
	}
	for _, other := range []certs.Subject{
		{Server: true, DNS: []string{"example.com"}}, {Server: true, DNS: []string{"web.default.svc"}}, {Server: true, IPs: []netip.Addr{netip.MustParseAddr("10.43.0.2")}},
	} {
		if _, err := n.by(authority, other); err == nil {
			t.Errorf("it vouches for %v %v", other.DNS, other.IPs)
		}
	}
	again, _, err := n.vouch(cluster)
	if err != nil || !again.Equal(authority) {
		t.Errorf("after another start it is another one, %v", err)
	}
	cluster.ClusterDomain = "elsewhere"
	other, _, err := n.vouch(cluster)
	if err != nil || other.Equal(authority) {
		t.Errorf("with another domain it is the same, %v", err)
	}
	for _, text := range [][]byte{nil, []byte("nonsense"), certs.EncodeCert(local.Leaf)} { // the last is what earlier builds left: no authority
		if err := os.WriteFile(n.path(localFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if made, _, err := n.vouch(cluster); err != nil || !made.IsCA {
			t.Errorf("with %d bytes in the file: %v", len(text), err)
		}
	}
}

func TestANodeThatIsNotLetInAnyMoreEndsOnceItsCertificatesAreOver(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		says   []string
	}{
		"replaced":  {http.StatusConflict, "the name is another's; to cure: rename it", []string{"another's", "rename it"}},
		"forgotten": {http.StatusForbidden, "no key is recorded", []string{"no key is recorded", "does not let it join again"}},
		"unknown":   {http.StatusUnauthorized, "not one of this cluster", []string{"not one of this cluster", "does not let it join again"}},
	} {
		f := newFake(t, func(f *fakeServer) { f.renewal = refuses(c.status, c.body) })
		config := lateNode(t, f)
		config.Token = tokenOf(wire.Token{CAHash: f.token.CAHash, Secret: "replaced since"})
		err := join(t, New(config, slog.New(slog.DiscardHandler)))
		var told *fault.Fault
		if !asFault(err, &told) || told.Cure() == "" || strings.Count(err.Error(), "to cure") != 1 {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		for _, part := range c.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: it says %v", name, err)
			}
		}
	}
}

// A board whose clock is behind does not know that its certificates are over; the server does.
func TestANodeWhoseClockIsBehindRenewsToo(t *testing.T) {
	f := newFake(t, func(f *fakeServer) {})
	c := joinedNode(t, f)
	was := readMaterial(t, c)
	f.over = func(r *http.Request) bool { return r.TLS.PeerCertificates[0].SerialNumber.String() == was }
	n := live(t, c)
	eventually(t, "it renews", func() bool { return f.asked(wire.PathCertificates) == 1 })
	eventually(t, "it has the new ones", func() bool { return n.Client().Leaf.SerialNumber.String() != was })
	if len(f.sent()) != 1 {
		t.Errorf("the token was sent again")
	}
}

func readMaterial(t *testing.T, c Config) string {
	t.Helper()
	k, err := readKept(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := certs.DecodeCert([]byte(k.Kubelet))
	if err != nil {
		t.Fatal(err)
	}
	return cert.SerialNumber.String()
}

func TestCertificatesThatLiveShorterAreRenewedInTime(t *testing.T) {
	f := newFake(t, plain)
	f.setLife(2 * time.Second)
	n := live(t, joinedNode(t, f))
	for range 3 {
		before := n.Client().Leaf
		eventually(t, "there is another certificate", func() bool { return !n.Client().Leaf.Equal(before) })
		if certs.Over(before) {
			t.Error("the one before was over by then")
		}
	}
	if strings.Contains(n.diary.String(), "next start") {
		t.Errorf("the life of certificates is taken for a setting that a start needs: %s", &n.diary)
	}
	f.setLife(time.Second)
	select {
	case <-n.Changed():
		t.Error("another life means another cluster")
	default:
	}
}

func TestAYearThatIsSaidIsNoOtherLife(t *testing.T) {
	f := newFake(t, plain)
	c := joinedNode(t, f) // by a server that says nothing of it
	f.setLife(365 * 24 * time.Hour)
	n := live(t, c)
	eventually(t, "it is told", func() bool { return n.Told().CertificateLife > 0 })
	if f.asked(wire.PathCertificates) > 0 {
		t.Error("the certificates were renewed for it")
	}
}

func TestALifeThatBecameShorterIsTakenOver(t *testing.T) {
	f := newFake(t, plain)
	c := joinedNode(t, f) // for a year
	f.setLife(time.Hour)
	n := live(t, c)
	eventually(t, "the certificates live for an hour", func() bool { return time.Until(n.Client().Leaf.NotAfter) < 2*time.Hour })
	text, err := os.ReadFile(filepath.Join(c.Dir, keptFile))
	var k kept
	if err != nil || json.Unmarshal(text, &k) != nil || k.Life != time.Hour {
		t.Errorf("it is not kept: %v, %s", err, k.Life)
	}
}

func TestTheTimeOfAServerIsHeardWhereItIsTrusted(t *testing.T) {
	f, stranger := newFake(t, plain), newFake(t, plain)
	heard := make(chan time.Time, 100)
	c := joinedNode(t, f)
	c.Heard = func(at time.Time) { heard <- at }
	live(t, c)
	select {
	case at := <-heard:
		if time.Since(at).Abs() > 2*time.Second {
			t.Errorf("it is said to be %s", at)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was heard")
	}
	for len(heard) > 0 {
		<-heard
	}
	n := New(c, slog.New(slog.DiscardHandler))
	if _, err := call(t.Context(), request{server: stranger.URL, trust: &tls.Config{InsecureSkipVerify: true}, method: http.MethodGet, path: wire.PathCACerts}); err != nil {
		t.Fatal(err)
	}
	if len(heard) > 0 || n.config.Heard == nil {
		t.Error("a stranger is believed")
	}
	alone := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(alone.Close)
	if _, err := call(t.Context(), request{server: alone.URL, trust: &tls.Config{InsecureSkipVerify: true}, method: http.MethodGet, path: wire.PathConfig, heard: c.Heard}); err == nil {
		t.Fatal("503 is no error")
	}
	if len(heard) > 0 {
		t.Error("the node's own endpoint is believed, while no server is in reach")
	}
}

// A board without a battery hears months later what time it is.
func TestCertificatesAreLookedAtWhenTheClockIsSet(t *testing.T) {
	f := newFake(t, plain)
	c := joinedNode(t, f)
	stepped := make(chan struct{})
	c.Stepped = stepped
	live(t, c)
	eventually(t, "the server is asked at the start", func() bool { return f.asked(wire.PathConfig) == 1 })
	stepped <- struct{}{}
	eventually(t, "the server is asked again", func() bool { return f.asked(wire.PathConfig) == 2 })
}
