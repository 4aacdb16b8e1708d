package dns

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// sample has one of each thing that has a name.
func sample(t *testing.T) *api {
	t.Helper()
	a := newAPI(t)
	for _, n := range []string{"default", "kube-system", "shop"} {
		a.put(namespaces, &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: n}})
	}
	a.put(services, service("default", "kubernetes", "10.43.0.1"))
	a.put(services, service("shop", "web", "10.43.7.7", "fd00:43::7"))
	a.put(slicesPath, slice("shop", "web", discovery.Endpoint{Addresses: []string{"10.42.0.5"}}))
	db := service("shop", "db", core.ClusterIPNone)
	a.put(services, db)
	a.put(slicesPath, slice("shop", "db",
		discovery.Endpoint{Addresses: []string{"10.42.0.6"}, Hostname: ptr("db-0")},
		discovery.Endpoint{Addresses: []string{"10.42.1.6"}, Hostname: ptr("db-1")},
		discovery.Endpoint{Addresses: []string{"10.42.2.6"}, Hostname: ptr("db-2"), Conditions: discovery.EndpointConditions{Ready: ptr(false)}}))
	a.put(services, &core.Service{ObjectMeta: named("shop", "far"), Spec: core.ServiceSpec{Type: core.ServiceTypeExternalName, ExternalName: "www.example"}})
	a.put(services, &core.Service{ObjectMeta: named("shop", "near"), Spec: core.ServiceSpec{Type: core.ServiceTypeExternalName, ExternalName: "web.shop.svc.cluster.local"}})
	return a
}

func TestRecords(t *testing.T) {
	port := upstream(t, nil)
	n := start(t, sample(t), "search lan\nnameserver 127.0.0.1\n", func(c *Config) { c.upstreamPort = port })
	for question, want := range map[string]string{
		"A kubernetes.default.svc.cluster.local":    "A 10.43.0.1",
		"A KUBERNETES.Default.svc.cluster.local":    "A 10.43.0.1",
		"A web.shop.svc.cluster.local":              "A 10.43.7.7",
		"AAAA web.shop.svc.cluster.local":           "AAAA fd00:43::7",
		"AAAA kubernetes.default.svc.cluster.local": "NOERROR",
		"A no.shop.svc.cluster.local":               "NXDOMAIN",
		"A web.no.svc.cluster.local":                "NXDOMAIN",
		"A web.shop.svc.cluster.local.lan":          "NXDOMAIN",
		"A www.example.shop.svc.cluster.local":      "NXDOMAIN",
		"SRV _http._tcp.web.shop.svc.cluster.local": "SRV 0 50 80 web.shop.svc.cluster.local.",
		"SRV _http._tcp.db.shop.svc.cluster.local":  "SRV 0 50 8080 db-0.db.shop.svc.cluster.local., SRV 0 50 8080 db-1.db.shop.svc.cluster.local.",
		"A db.shop.svc.cluster.local":               "A 10.42.0.6, A 10.42.1.6",
		"A db-1.db.shop.svc.cluster.local":          "A 10.42.1.6",
		"A db-2.db.shop.svc.cluster.local":          "NXDOMAIN",
		"A far.shop.svc.cluster.local":              "A 192.0.2.1, CNAME www.example.",
		"A near.shop.svc.cluster.local":             "A 10.43.7.7, CNAME web.shop.svc.cluster.local.",
		"A 10-42-0-5.shop.pod.cluster.local":        "A 10.42.0.5",
		"A 10-42-0-5.no.pod.cluster.local":          "NXDOMAIN",
		"PTR 7.7.43.10.in-addr.arpa":                "PTR web.shop.svc.cluster.local.",
		"PTR 6.1.42.10.in-addr.arpa":                "PTR db-1.db.shop.svc.cluster.local.",
		"PTR 9.9.9.9.in-addr.arpa":                  "NXDOMAIN",
		"TXT dns-version.cluster.local":             `TXT "1.1.0"`,
		"A www.example":                             "A 192.0.2.1",
		"A elsewhere":                               "NXDOMAIN",
	} {
		for _, network := range []string{"udp", "tcp"} {
			if got := n.askBy(network, question); got != want {
				t.Errorf("%s by %s: got %s, want %s", question, network, got, want)
			}
		}
	}
}

func TestAnswersAreRememberedThatAreNotTheClusters(t *testing.T) {
	var asked atomic.Int64
	port := upstream(t, &asked)
	n := start(t, sample(t), "nameserver 127.0.0.1\n", func(c *Config) { c.upstreamPort = port })
	for range 5 {
		for question, want := range map[string]string{"A www.example": "A 192.0.2.1", "A elsewhere": "NXDOMAIN", "AAAA www.example": "NXDOMAIN"} {
			if got := n.ask(question); got != want {
				t.Errorf("%s: got %s", question, got)
			}
		}
	}
	if asked.Load() != 3 {
		t.Errorf("three questions were asked %d times", asked.Load())
	}
}

func TestNamesComeAndGo(t *testing.T) {
	a := sample(t)
	n := start(t, a, "", nil)
	s := service("shop", "new", "10.43.8.8")
	if got := n.ask("A new.shop.svc.cluster.local"); got != "NXDOMAIN" {
		t.Errorf("got %s", got)
	}
	a.put(services, s)
	n.eventually("A new.shop.svc.cluster.local", "A 10.43.8.8")
	a.remove(services, s)
	n.eventually("A new.shop.svc.cluster.local", "NXDOMAIN")
}

// A host without DNS servers: names of the cluster are answered, others fail at once; then it gets one, loses its server,
// and goes on.
func TestUpstreamsFollowTheHost(t *testing.T) {
	port := upstream(t, nil)
	a := sample(t)
	n := start(t, a, "nameserver 10.43.0.10\n", func(c *Config) { c.upstreamPort = port }) // its own address leads nowhere
	began := time.Now()
	if got := n.ask("A www.example"); got != "SERVFAIL" || time.Since(began) > time.Second {
		t.Errorf("got %s after %s", got, time.Since(began))
	}
	n.eventually("A web.shop.svc.cluster.local", "A 10.43.7.7")
	a.CloseClientConnections()
	a.Config.SetKeepAlivesEnabled(false)
	_ = a.Listener.Close()

	n.write("nameserver 127.0.0.1\n")
	n.eventually("A www.example", "A 192.0.2.1")
	if got := n.ask("A web.shop.svc.cluster.local"); got != "A 10.43.7.7" {
		t.Errorf("without a server: got %s", got)
	}
	n.write("# none\n")
	n.eventually("A other.example", "SERVFAIL")
	if got := n.ask("A web.shop.svc.cluster.local"); got != "A 10.43.7.7" {
		t.Errorf("without a server: got %s", got)
	}
}

// An upstream that does not answer costs a bounded time, and then none.
func TestDeadUpstream(t *testing.T) {
	n := start(t, sample(t), "nameserver 127.0.0.1\n", func(c *Config) { c.upstreamPort = 1 })
	n.eventually("A web.shop.svc.cluster.local", "A 10.43.7.7")
	began := time.Now()
	if got := n.ask("A www.example"); got != "SERVFAIL" || time.Since(began) > 6*time.Second {
		t.Errorf("got %s after %s", got, time.Since(began))
	}
}

// What comes before the first list waits for it; without a server that has an end.
func TestQuestionsBeforeTheFirstList(t *testing.T) {
	a := newAPI(t)
	a.mu.Lock() // it takes requests and does not answer
	n := start(t, a, "", nil)
	answer := make(chan string, 1)
	go func() { answer <- n.ask("A web.shop.svc.cluster.local") }()
	select {
	case got := <-answer:
		t.Errorf("got %s before anything was known", got)
	case <-time.After(300 * time.Millisecond):
	}
	a.mu.Unlock()
	a.put(namespaces, &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: "shop"}})
	if got := <-answer; got != "NXDOMAIN" {
		t.Errorf("got %s", got)
	}
}

func TestStrangersGetNoAnswer(t *testing.T) {
	looked := 0
	a := &askers{pods: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("fd00:42::/56")}, local: func() []netip.Addr {
		looked++
		return []netip.Addr{netip.MustParseAddr("192.168.1.2"), netip.MustParseAddr("fe80::1")}
	}}
	for ip, want := range map[string]bool{
		"10.42.3.4": true, "fd00:42::9": true, "127.0.0.1": true, "::1": true, "192.168.1.2": true, "fe80::1%eth0": true,
		"192.168.1.3": false, "10.43.0.1": false, "8.8.8.8": false, "2001:db8::1": false, "fe80::2%eth0": false,
	} {
		if got := a.may(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %t", ip, got)
		}
	}
	if looked != 1 {
		t.Errorf("the machine's addresses were looked at %d times; strangers must not cause that", looked)
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	n := start(t, sample(t), "", nil)
	if _, err := listen([]netip.AddrPort{n.at}, newAskers(nil), &answers{}); err == nil || !strings.Contains(err.Error(), "ss -lnptu") {
		t.Errorf("got %v", err)
	}
}
