package cluster_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/skerry-io/skerry/tests/testhost"
)

const (
	dnsClients = 16
	dnsLasts   = 10 * time.Second
	dnsNames   = 100
)

// corefile is the one that clusters usually have.
const corefile = `.:1053 {
	errors
	kubernetes cluster.local in-addr.arpa ip6.arpa {
		kubeconfig ` + kubeconfig + `
		pods insecure
		fallthrough in-addr.arpa ip6.arpa
	}
	prometheus 127.0.0.1:9153
	forward . /etc/resolv.conf
	cache 30
	loadbalance
}
`

// TestDNSLoad prints how many questions a second the DNS inside skerry answers, beside CoreDNS as a process of its own on the
// same host, which watches the same API server. Sixteen clients ask one after the other for ten seconds.
func TestDNSLoad(t *testing.T) {
	if os.Getenv("SKERRY_MEASURE") == "" {
		t.Skip("a measurement, for a quiet machine: SKERRY_MEASURE=1 runs it")
	}
	c := newCluster(t, "", nil, testhost.Program("coredns", coreDNS(t)))
	newZone(t, c.host, c.host.Address()+":53", map[string]string{"www.example.": outsideIP})
	c.host.Write("/etc/resolv.conf", []byte("nameserver "+c.host.Address()+"\n"))
	c.start(t)
	c.kubectl(t, "create", "namespace", manyIn)
	for i := range dnsNames {
		if err := oneOfMany(t, c.api, i); err != nil {
			t.Fatal(err)
		}
	}
	c.host.Write("/Corefile", []byte(corefile))
	other := c.host.Start("coredns", "-conf", "/Corefile")
	servers := []struct {
		name, address string
		proc          *testhost.Proc
	}{{"skerry", c.host.Address() + ":6445", c.proc}, {"CoreDNS", c.host.Address() + ":1053", other}}
	for _, s := range servers {
		c.eventually(t, s.name+" knows the names", func() error {
			if got := lookup(c.host.Dial, s.address, fmt.Sprintf("many-%d."+manyIn+".svc.cluster.local", dnsNames-1)); net.ParseIP(got) == nil {
				return errors.New(got)
			}
			return nil
		})
	}
	for _, kind := range []string{"names of the cluster", "a name of the world, remembered"} {
		for range 3 {
			for _, s := range servers {
				before := ticks(t, s.proc.Pid())
				r := c.load(t, s.address, kind == "names of the cluster")
				spent := time.Duration(ticks(t, s.proc.Pid())-before) * 10 * time.Millisecond
				t.Logf("%s, %s: %.0f/s, median %v, p99 %v, %d lost, %v of processor time for a thousand", s.name, kind, r.rate,
					r.median.Round(time.Microsecond), r.p99.Round(time.Microsecond), r.lost, (spent * 1000 / time.Duration(max(r.count, 1))).Round(10*time.Microsecond))
			}
		}
	}
	for _, s := range servers {
		t.Logf("%s has %d MiB of memory", s.name, residentOf(t, s.proc.Pid())>>20)
	}
}

// coreDNS gives the program, which is made of the library that skerry has inside.
func coreDNS(t *testing.T) string {
	t.Helper()
	file, err := filepath.Abs("../../build/coredns")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", file, "../coredns").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

// loaded is what a server did.
type loaded struct {
	count, lost int
	rate        float64
	median, p99 time.Duration
}

// load asks for a while, each client one question after the other.
func (c *cluster) load(t *testing.T, address string, inCluster bool) loaded {
	t.Helper()
	took, lost := make([][]time.Duration, dnsClients), make([]int, dnsClients)
	var all sync.WaitGroup
	for i := range dnsClients {
		conn, err := c.host.Dial(t.Context(), "udp", address)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer conn.Close()
			took[i], lost[i] = questions(conn, inCluster)
		})
	}
	all.Wait()
	var r loaded
	every := slices.Concat(took...)
	for _, n := range lost {
		r.lost += n
	}
	if r.count = len(every); r.count == 0 {
		t.Fatalf("%s answers nothing", address)
	}
	slices.Sort(every)
	r.rate, r.median, r.p99 = float64(r.count)/dnsLasts.Seconds(), every[r.count/2], every[r.count*99/100]
	return r
}

// questions asks until the time is over, and gives how long each right answer took.
func questions(conn net.Conn, inCluster bool) (took []time.Duration, lost int) {
	var asked [][]byte
	for i := range dnsNames {
		name := "www.example."
		if inCluster {
			name = fmt.Sprintf("many-%d."+manyIn+".svc.cluster.local.", i)
		}
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeA)
		packed, err := m.Pack()
		if err != nil {
			return nil, 0
		}
		asked = append(asked, packed)
	}
	answer := make([]byte, 4096)
	for end := time.Now().Add(dnsLasts); time.Now().Before(end); {
		question, id := asked[rand.N(dnsNames)], uint16(rand.N(1<<16))
		binary.BigEndian.PutUint16(question, id)
		began := time.Now()
		_ = conn.SetDeadline(began.Add(time.Second))
		if _, err := conn.Write(question); err != nil {
			lost++
			continue
		}
		// The identity, no error, one answer.
		if n, err := conn.Read(answer); err != nil || n < 12 || binary.BigEndian.Uint16(answer) != id || answer[3]&15 != 0 || answer[7] != 1 {
			lost++
			continue
		}
		took = append(took, time.Since(began))
	}
	return took, lost
}
