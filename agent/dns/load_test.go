package dns

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/miekg/dns"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// unheard takes answers as a pod of this node would.
type unheard struct{ dns.ResponseWriter }

func (unheard) LocalAddr() net.Addr         { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53} }
func (unheard) RemoteAddr() net.Addr        { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4242} }
func (unheard) Write(b []byte) (int, error) { return len(b), nil }
func (unheard) WriteMsg(m *dns.Msg) error   { _, err := m.Pack(); return err }

// BenchmarkQuestion is what one question for a name of the cluster costs, without the way through the kernel.
func BenchmarkQuestion(b *testing.B) {
	a := newAPI(b)
	a.put(namespaces, &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: "shop"}})
	for i := range 100 {
		a.put(services, service("shop", fmt.Sprintf("many-%d", i), fmt.Sprintf("10.43.1.%d", i)))
	}
	ctx, stop := context.WithCancel(b.Context())
	names, err := openCluster(ctx, a.config(), "cluster.local")
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { names.run(ctx); close(ended) }()
	defer func() { stop(); <-ended }()
	s := &settings{config: Config{Domain: "cluster.local", ResolvConf: func() string { return "" }}, cluster: names}
	if err := s.apply(nil, nil); err != nil {
		b.Fatal(err)
	}
	defer s.answers.replace(nil, graceAtEnd)
	names.await(ctx)
	m := new(dns.Msg)
	m.SetQuestion("many-42.shop.svc.cluster.local.", dns.TypeA)
	b.ReportAllocs()
	for b.Loop() {
		s.answers.serve(ctx, unheard{}, m)
	}
}
