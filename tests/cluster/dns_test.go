package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/tests/testhost"
)

const (
	dnsAddress = "10.43.0.10"
	outsideIP  = "192.0.2.80" // of www.example, which the resolver of the lab knows
)

// TestDNS: names work in pods, on hosts, for the libc most programs have, and while no server is there.
func TestDNS(t *testing.T) {
	c := newCluster(t, "", []string{busybox, redis})
	agent := c.newAgent(t, "agent", nil)
	resolver(t, c.host)
	for _, h := range c.lab.Hosts() {
		h.Write("/etc/resolv.conf", []byte("nameserver "+c.host.Address()+"\n"))
	}
	c.start(t)
	c.apply(t, "dns.yaml")
	for _, name := range c.names() {
		c.create(t, webOn(name, "asker-"+name, "asker"))
		c.create(t, cacheOn(name))
		onHost := webOn(name, "host-"+name, "asker")
		onHost.Spec.HostNetwork, onHost.Spec.DNSPolicy = true, corev1.DNSClusterFirstWithHostNet
		c.create(t, onHost)
	}
	c.podsReady(t, "asker", 2*len(c.names()))
	c.podsReady(t, "cache", len(c.names()))

	ip := c.clusterIP(t, "cache")
	t.Run("in pods", func(t *testing.T) { namesInPods(t, c, ip) })
	t.Run("on hosts", func(t *testing.T) { hostsAsk(t, c, ip) })
	t.Run("not from elsewhere", func(t *testing.T) { strangerAsks(t, c) })
	t.Run("settings of users", func(t *testing.T) { customNames(t, c) })
	t.Run("without a server", func(t *testing.T) {
		c.proc.Kill()
		for question, want := range map[string]string{"cache.default.svc.cluster.local": ip, "www.example": outsideIP} {
			if got := lookup(agent.host.Dial, dnsAddress+":53", question); got != want {
				t.Errorf("%s: %s, want %s", question, got, want)
			}
		}
	})
	t.Run("switched off", func(t *testing.T) { dnsOff(t, c) })
}

// namesInPods asks as programs in pods do: by the resolver of glibc with the search path, and for single records.
func namesInPods(t *testing.T, c *cluster, ip string) {
	var each []string
	for _, p := range c.podsReady(t, "cache", len(c.names())) {
		each = append(each, p.Status.PodIP)
	}
	slices.Sort(each)
	for _, node := range c.names() {
		for _, name := range []string{"cache", "cache.default", "cache.default.svc.cluster.local", "each", "alias"} {
			c.eventually(t, "glibc finds "+name+" on "+node, func() error { // redis itself may be late
				out, err := c.try(t, "kubectl", "exec", "cache-"+node, "--", "redis-cli", "-h", name, "ping")
				if err == nil && strings.TrimSpace(out) != "PONG" {
					err = fmt.Errorf("it says %q", out)
				}
				return err
			})
		}
		for _, pod := range []string{"asker-" + node, "host-" + node} {
			for _, q := range []struct{ kind, name, want string }{
				{"a", "cache.default.svc.cluster.local", ip},
				{"a", "each.default.svc.cluster.local", strings.Join(each, " ")},
				{"srv", "_redis._tcp.cache.default.svc.cluster.local", "6379 cache.default.svc.cluster.local"},
				{"a", "outside.default.svc.cluster.local", outsideIP},
				{"a", "www.example", outsideIP},
				{"ptr", reverse(ip), "cache.default.svc.cluster.local"},
				{"a", "nothing.default.svc.cluster.local", "NXDOMAIN"},
			} {
				out, _ := c.try(t, "kubectl", "exec", pod, "--", "sh", "-c", "nslookup -type="+q.kind+" "+q.name+" || true")
				for _, want := range strings.Fields(q.want) {
					if !strings.Contains(out, want) {
						t.Errorf("%s, %s %s: no %s in\n%s", pod, q.kind, q.name, want, out)
					}
				}
			}
		}
	}
}

// hostsAsk: a program of the host may ask the Service too, by UDP and TCP.
func hostsAsk(t *testing.T, c *cluster, ip string) {
	for _, h := range c.lab.Hosts() {
		if got := lookup(h.Dial, dnsAddress+":53", "cache.default.svc.cluster.local"); got != ip {
			t.Errorf("%s: %s", h.Name(), got)
		}
	}
}

// strangerAsks: the node's resolver is nobody else's.
func strangerAsks(t *testing.T, c *cluster) {
	for _, h := range c.lab.Hosts() {
		if got := lookup(c.lab.Dial, h.Address()+":6445", "www.example"); !strings.Contains(got, "timeout") && !strings.Contains(got, "EOF") {
			t.Errorf("%s answers a stranger: %s", h.Name(), got)
		}
	}
}

func customNames(t *testing.T, c *cluster) {
	set := func(text string) {
		c.applyText(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns-custom, namespace: kube-system}\ndata:\n  a.override: |\n    "+strings.ReplaceAll(text, "\n", "\n    "))
	}
	printer := func(want string) {
		t.Helper()
		for _, h := range c.lab.Hosts() {
			c.eventually(t, h.Name()+" knows the printer", func() error {
				if got := lookup(h.Dial, dnsAddress+":53", "printer.lan"); got != want {
					return fmt.Errorf("it says %s", got)
				}
				return nil
			})
		}
	}
	set("hosts {\n  192.0.2.9 printer.lan\n  fallthrough\n}")
	printer("192.0.2.9")
	set("hosts {")
	c.eventually(t, "each node tells of the mistake", func() error {
		events, err := c.api.CoreV1().Events(metav1.NamespaceSystem).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=coredns-custom,reason=SettingsRefused"})
		if err == nil && len(events.Items) != len(c.names()) {
			err = fmt.Errorf("there are %d events", len(events.Items))
		}
		return err
	})
	printer("192.0.2.9")
}

// dnsOff: what was switched off has left nothing in the cluster and no open port.
func dnsOff(t *testing.T, c *cluster) {
	c.serve("--disable", "dns")
	c.apiReady(t)
	c.eventually(t, "all of it is gone", func() error {
		for _, args := range []string{"get service,endpointslice -n kube-system -o name", "get clusterrole,clusterrolebinding skerry:dns -o name --ignore-not-found"} {
			out, err := c.try(t, append([]string{"kubectl"}, strings.Fields(args)...)...)
			if err != nil || strings.Contains(out, "dns") {
				return fmt.Errorf("there is %q, %w", out, err)
			}
		}
		conn, err := c.host.Dial(t.Context(), "tcp", c.host.Address()+":6445")
		if err == nil {
			return errors.Join(errors.New("the port is open"), conn.Close())
		}
		return nil
	})
}

// cacheOn is a redis on a node; its client resolves by glibc.
func cacheOn(node string) *corev1.Pod {
	pod := webOn(node, "cache-"+node, "cache")
	pod.Spec.Containers[0].Image, pod.Spec.Containers[0].Command = redis, nil
	pod.Spec.Containers[0].Args = []string{"--protected-mode", "no"}
	return pod
}

// lookup asks for an address once by UDP and once by TCP, and gives what both say.
func lookup(dial func(context.Context, string, string) (net.Conn, error), server, name string) string {
	var said []string
	for _, network := range []string{"udp", "tcp"} {
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		conn, err := dial(ctx, network, server)
		if err == nil {
			m := new(dns.Msg)
			m.SetQuestion(dns.Fqdn(name), dns.TypeA)
			var r *dns.Msg
			r, _, err = (&dns.Client{Net: network, Timeout: 2 * time.Second}).ExchangeWithConn(m, &dns.Conn{Conn: conn})
			_ = conn.Close()
			if err == nil {
				said = append(said, short(r))
			}
		}
		if err != nil {
			said = append(said, err.Error())
		}
		cancel()
	}
	return strings.Join(slices.Compact(said), " and ")
}

func short(r *dns.Msg) string {
	for _, rr := range r.Answer {
		if a, ok := rr.(*dns.A); ok {
			return a.A.String()
		}
	}
	return dns.RcodeToString[r.Rcode]
}

func reverse(ip string) string {
	name, _ := dns.ReverseAddr(ip)
	return name
}

// resolver answers on a host for the one name of the world outside.
func resolver(t *testing.T, h *testhost.Host) {
	t.Helper()
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(r)
		switch q := r.Question[0]; {
		case q.Name != "www.example.":
			m.Rcode = dns.RcodeNameError
		case q.Qtype == dns.TypeA:
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.ParseIP(outsideIP)}}
		}
		_ = w.WriteMsg(m)
	})
	address := h.Address() + ":53"
	for _, s := range []*dns.Server{{PacketConn: h.ListenPacket(address), Handler: answer}, {Listener: h.Listen(address), Handler: answer}} {
		go func() { _ = s.ActivateAndServe() }()
		t.Cleanup(func() { _ = s.Shutdown() })
	}
}
