package apiserver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"time"

	kubelet "k8s.io/kubernetes/pkg/kubelet/client"

	"github.com/skerry-io/skerry/server/pki"
	"github.com/skerry-io/skerry/tests/certtest"
)

// TestKubeletsAreShownTheNewCertificate: what the API server calls kubelets with is read again when it is renewed, also
// while a connection is open.
func TestKubeletsAreShownTheNewCertificate(t *testing.T) {
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
	web := certtest.NewMirror(t, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: known, Certificates: []tls.Certificate{serving}})
	f := flags(Config{}, p)
	via, err := kubelet.MakeTransport(&kubelet.KubeletClientConfig{TLSClientConfig: kubelet.KubeletTLSConfig{
		CAFile: f["kubelet-certificate-authority"], CertFile: f["kubelet-client-certificate"], KeyFile: f["kubelet-client-key"]}})
	if err != nil {
		t.Fatal(err)
	}
	before := web.Shown(via)
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
	for now := ""; now == "" || now == before; now = web.Shown(via) {
		if time.Now().After(late) {
			t.Fatal("the old certificate is still shown")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
