package cluster_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

// manyServices is how many Services a small cluster is not expected to have. They have a namespace of their own: every pod of
// theirs would get variables of each, more than the kernel lets a program have.
const (
	manyServices = 10_000
	manyIn       = "many"
)

// TestTenThousandServices prints what so many Services cost a node: memory, how long their rules take to load after a power
// cut, what a change takes then, how fast DNS answers. It wants of it only that it works.
func TestTenThousandServices(t *testing.T) {
	if os.Getenv("SKERRY_MEASURE") == "" {
		t.Skip("takes minutes, and is a measurement for a quiet machine: SKERRY_MEASURE=1 runs it")
	}
	c := newCluster(t, "", []string{busybox})
	c.start(t)
	c.create(t, webOn(c.host.Name(), "web", "web"))
	c.podReady(t, "web")
	c.service(t, "web", "web", 0)
	c.answers(t, "at first")
	before := c.idle(t)

	began := time.Now()
	c.manyServices(t)
	t.Logf("%d Services with two endpoints each were made in %v", manyServices, time.Since(began).Round(time.Second))
	c.rulesUntil(t, manyServices)
	t.Logf("all rules were loaded %v after the first was made", time.Since(began).Round(time.Second))
	c.change(t)
	c.askMany(t)
	with := c.idle(t)
	t.Logf("skerry is %d MiB resident and takes %.1f %% of a core when idle; before, %d MiB and %.1f %%", with.memory>>20, with.core, before.memory>>20, before.core)

	c.host.PowerCycle()
	began = time.Now()
	c.serve()
	c.apiReady(t)
	ready := time.Since(began)
	c.rulesUntil(t, manyServices)
	loaded := time.Since(began)
	c.answers(t, "after a power cut")
	t.Logf("after a power cut: API ready after %v, all rules after %v, a Service with a pod answers after %v",
		ready.Round(100*time.Millisecond), loaded.Round(100*time.Millisecond), time.Since(began).Round(100*time.Millisecond))
	c.change(t)
}

// manyServices makes them, some at a time.
func (c *cluster) manyServices(t *testing.T) {
	t.Helper()
	const clients = 32
	c.kubectl(t, "create", "namespace", manyIn)
	hasty, err := c.configured(func(config *rest.Config) { config.QPS = -1 })
	if err != nil {
		t.Fatal(err)
	}
	errs := make([]error, clients)
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for i := client; i < manyServices && errs[client] == nil; i += clients {
				errs[client] = oneOfMany(t, hasty, i)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func oneOfMany(t *testing.T, api kubernetes.Interface, i int) error {
	name := fmt.Sprintf("many-%d", i)
	_, err := api.CoreV1().Services(manyIn).Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	_, err = api.DiscoveryV1().EndpointSlices(manyIn).Create(t.Context(), &discovery.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discovery.LabelServiceName: name}},
		AddressType: discovery.AddressTypeIPv4,
		Ports:       []discovery.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(8080)), Protocol: ptr.To(corev1.ProtocolTCP)}},
		Endpoints: []discovery.Endpoint{{Addresses: []string{fmt.Sprintf("10.42.%d.%d", 100+i/250, 1+i%250)}},
			{Addresses: []string{fmt.Sprintf("10.42.%d.%d", 150+i/250, 1+i%250)}}},
	}, metav1.CreateOptions{})
	return err
}

// rulesUntil waits until the kernel has rules for so many Services at least.
func (c *cluster) rulesUntil(t *testing.T, count int) {
	t.Helper()
	c.eventually(t, fmt.Sprintf("there are rules for %d Services", count), func() error {
		out, err := c.host.Run(t.Context(), "nft", "list", "map", "ip", "kube-proxy", "service-ips")
		if got := strings.Count(out, " : goto "); err == nil && got < count {
			err = fmt.Errorf("there are %d", got)
		}
		return err
	})
}

// change prints how long a new Service takes to be in the rules, and a name in DNS.
func (c *cluster) change(t *testing.T) {
	t.Helper()
	name := fmt.Sprintf("late-%d", rand.N(1_000_000))
	c.service(t, name, "web", 0)
	ip := c.clusterIP(t, name)
	began := time.Now()
	c.eventually(t, "the new Service answers", func() error {
		_, err := get(c.host.HTTP(), "http://"+ip+"/index.html")
		return err
	})
	t.Logf("a new Service answers after %v", time.Since(began).Round(10*time.Millisecond))
	if got := lookup(c.host.Dial, dnsAddress+":53", name+".default.svc.cluster.local"); got != ip {
		t.Errorf("its name is %s, not %s", got, ip)
	}
}

// answers waits until the Service web is answered by its pod.
func (c *cluster) answers(t *testing.T, when string) {
	t.Helper()
	ip := c.clusterIP(t, "web")
	c.eventually(t, "the Service web answers "+when, func() error {
		out, err := get(c.host.HTTP(), "http://"+ip+"/index.html")
		return errors.Join(err, oneOf(out, []string{"web"}))
	})
}

// askMany prints how long questions for random Services take, one after the other.
func (c *cluster) askMany(t *testing.T) {
	t.Helper()
	const questions = 2000
	conn, err := c.host.Dial(t.Context(), "udp", dnsAddress+":53")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	took := make([]time.Duration, 0, questions)
	for range questions {
		name := fmt.Sprintf("many-%d."+manyIn+".svc.cluster.local.", rand.N(manyServices))
		began := time.Now()
		r, err := ask(conn, name)
		took = append(took, time.Since(began))
		if err != nil || len(r.Answer) != 1 {
			t.Fatalf("%s: %v, %v", name, r, err)
		}
	}
	slices.Sort(took)
	t.Logf("DNS answers after %v (median), %v (p99)", took[questions/2].Round(time.Microsecond), took[questions*99/100].Round(time.Microsecond))
}

// ask asks for an address once.
func ask(conn net.Conn, name string) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, dns.TypeA)
	r, _, err := (&dns.Client{Timeout: 2 * time.Second}).ExchangeWithConn(m, &dns.Conn{Conn: conn})
	return r, err
}
