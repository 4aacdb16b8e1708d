package apiserver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"
	"time"

	"k8s.io/client-go/transport"
	kubelet "k8s.io/kubernetes/pkg/kubelet/client"

	"github.com/skerry-io/skerry/server/pki"
)

// TestKubeletsAreShownTheNewCertificate: what the API server calls kubelets with is read again when it is renewed, also
// while a connection is open.
func TestKubeletsAreShownTheNewCertificate(t *testing.T) {
	was := transport.CertCallbackRefreshDuration
	transport.CertCallbackRefreshDuration = 50 * time.Millisecond
	t.Cleanup(func() { transport.CertCallbackRefreshDuration = was })
	log := slog.New(slog.DiscardHandler)
	p, err := pki.Open(t.TempDir(), pki.Names{DNS: []string{"localhost"}, IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, log)
	if err != nil {
		t.Fatal(err)
	}
	serving, err := tls.LoadX509KeyPair(p.APIServer.CertFile(), p.APIServer.KeyFile())
	if err != nil {
		t.Fatal(err)
	}
	known := x509.NewCertPool()
	known.AddCert(p.ClientCA.Certificate)
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].SerialNumber.String())
	}))
	web.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: known, Certificates: []tls.Certificate{serving}}
	web.StartTLS()
	t.Cleanup(web.Close)
	f := flags(Config{}, p)
	via, err := kubelet.MakeTransport(&kubelet.KubeletClientConfig{TLSClientConfig: kubelet.KubeletTLSConfig{
		CAFile: f["kubelet-certificate-authority"], CertFile: f["kubelet-client-certificate"], KeyFile: f["kubelet-client-key"]}})
	if err != nil {
		t.Fatal(err)
	}
	shown := func() string {
		answer, err := (&http.Client{Transport: via}).Get(web.URL)
		if err != nil {
			return "" // its connection was closed under it
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return string(text)
	}
	before := shown()
	if before == "" {
		t.Fatal("there is no answer")
	}
	if err := errors.Join(os.Remove(p.KubeletClient.CertFile()), os.Remove(p.KubeletClient.KeyFile())); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Renew(log); err != nil {
		t.Fatal(err)
	}
	late := time.Now().Add(10 * time.Second)
	for now := ""; now == "" || now == before; now = shown() {
		if time.Now().After(late) {
			t.Fatal("the old certificate is still shown")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
