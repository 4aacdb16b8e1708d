package identity

import (
	"crypto/tls"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-io/skerry/tests/certtest"
)

// TestEveryClientShowsTheNewCertificate: all components of a node ask their endpoint by one of two kubeconfigs. They show a
// renewed certificate without being told, also when their connection was open; and they trust the endpoint before and after.
func TestEveryClientShowsTheNewCertificate(t *testing.T) {
	f := newFake(t, plain)
	var n *life
	endpoint := certtest.NewMirror(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		serving, err := n.Serving()
		return &serving, err
	}})
	c := joinedNode(t, f)
	c.Endpoint = endpoint.URL
	n = live(t, c)
	for name, file := range map[string]string{"kubelet": n.KubeletConfig(), "kube-proxy": n.KubeProxyConfig()} {
		config, err := clientcmd.BuildConfigFromFlags("", file)
		if err != nil {
			t.Fatal(err)
		}
		way, err := rest.TransportFor(config)
		if err != nil {
			t.Fatal(err)
		}
		before := endpoint.Shown(way)
		if before == "" {
			t.Fatalf("%s does not reach its endpoint", name)
		}
		if err := n.renew(t.Context(), n.now.Load()); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+" shows another certificate", func() bool { now := endpoint.Shown(way); return now != "" && now != before })
	}
}
