package netpol

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/skerry-io/skerry/internal/host"
	"github.com/skerry-io/skerry/internal/host/nstest"
)

// policyOf reads a spec in YAML.
func policyOf(t testing.TB, namespace, name, spec string) *networking.NetworkPolicy {
	t.Helper()
	p := &networking.NetworkPolicy{}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	p.Namespace, p.Name = namespace, name
	return p
}

func podOf(namespace, name string, set labels.Set, local bool, addrs ...netip.Addr) *pod {
	return &pod{namespace: namespace, name: name, uid: name, labels: set, local: local, addresses: addrs,
		ports: []namedPort{{"web", "tcp", 80}, {"dns", "udp", 53}}}
}

// site is a node in a namespace, with pods on it and one that is another node's.
type site struct {
	*kernel
	a, b, c, far *guest
	pods         []*pod
}

func newSite(t testing.TB, bridgeNF bool) *site {
	t.Helper()
	hostWithBridge(t, bridgeNF, "10.42.0.1/24", "fd00:42::1/64")
	s := &site{
		a:   newGuest(t, "a", "cni0", "10.42.0.2/24", "fd00:42::2/64"),
		b:   newGuest(t, "b", "cni0", "10.42.0.3/24", "fd00:42::3/64"),
		c:   newGuest(t, "c", "cni0", "10.42.0.4/24", "fd00:42::4/64"),
		far: newGuest(t, "far", "", "10.42.1.2/30", "fd00:42:0:1::2/126"),
	}
	for _, g := range s.guests() {
		for _, port := range []int{80, 81} {
			g.listen(t, "tcp", port)
		}
		g.listen(t, "udp", 53)
		namespace := "one"
		if g == s.c {
			namespace = "two"
		}
		s.pods = append(s.pods, podOf(namespace, g.name, labels.Set{"app": g.name}, g != s.far, g.addrs...))
	}
	s.kernel = newKernel(Config{Bridge: "cni0", Pods: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("fd00:42::/56")},
		Apply: func(host.Change) error { return nil }})
	if !bridgeNF {
		s.bridged = func(bool) bool { return false }
	}
	must(t, s.cross(t.Context(), true))
	return s
}

func (s *site) guests() []*guest { return []*guest{s.a, s.b, s.c, s.far} }

func (s *site) force(t testing.TB, policies ...*networking.NetworkPolicy) ruleset {
	t.Helper()
	rules, problems := compile(cluster{namespaces: map[string]labels.Set{"one": {"team": "red"}, "two": {"team": "blue"}}, pods: s.pods, policies: policies})
	for name, err := range problems {
		t.Errorf("%s: %v", name, err)
	}
	must(t, s.enforce(t.Context(), rules))
	return rules
}

// same compares what sockets do with what the reference says, for all pairs and ports of both families.
func (s *site) agree(t *testing.T, policies ...*networking.NetworkPolicy) {
	t.Helper()
	s.force(t, policies...)
	c := cluster{namespaces: map[string]labels.Set{"one": {"team": "red"}, "two": {"team": "blue"}}, pods: s.pods, policies: policies}
	type try struct {
		protocol string
		port     int
	}
	var wait sync.WaitGroup
	for _, from := range s.guests() {
		for i, to := range s.guests() {
			for n, addr := range to.addrs {
				for _, try := range []try{{"tcp", 80}, {"tcp", 81}, {"udp", 53}} {
					wait.Go(func() {
						want := allowed(c, from.addrs[n], s.pods[i], addr, try.protocol, uint16(try.port))
						err := from.reach(try.protocol, addr, try.port)
						for again := 0; want && err != nil && again < 5; again++ { // a busy machine answers late
							err = from.reach(try.protocol, addr, try.port)
						}
						if (err == nil) != want {
							t.Errorf("%s to %s at %s %d (%s): allowed is %t, got %v", from.name, to.name, try.protocol, try.port, addr, want, err)
						}
					})
				}
			}
		}
		wait.Wait()
	}
	if t.Failed() {
		out, _ := exec.Command("nft", "list", "ruleset").CombinedOutput()
		t.Logf("%s", out)
	}
}

func needNFT(t *testing.T) bool {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs the program nft")
	}
	if !nstest.Inside(t) {
		return false
	}
	nstest.Proc(t)
	return true
}

func cases(t testing.TB) map[string][]*networking.NetworkPolicy {
	one := func(spec string) []*networking.NetworkPolicy {
		return []*networking.NetworkPolicy{policyOf(t, "one", "p", spec)}
	}
	return map[string][]*networking.NetworkPolicy{
		"none":                nil,
		"deny all of a":       one(`{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress, Egress]}`),
		"named port":          one(`{podSelector: {}, ingress: [{ports: [{port: web}, {port: dns, protocol: UDP}], from: [{namespaceSelector: {matchLabels: {team: blue}}}]}]}`),
		"egress by name":      one(`{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: web}], to: [{podSelector: {matchLabels: {app: b}}}]}]}`),
		"block with a hole":   one(`{podSelector: {matchLabels: {app: b}}, ingress: [{from: [{ipBlock: {cidr: 10.42.0.0/16, except: [10.42.0.2/32]}}, {ipBlock: {cidr: "fd00:42::/48", except: ["fd00:42::4/128"]}}]}]}`),
		"range, both at once": one(`{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 90}], from: [{podSelector: {matchLabels: {app: a}}}, {podSelector: {matchLabels: {app: c}}, namespaceSelector: {matchLabels: {team: blue}}}]}], egress: [{to: [{podSelector: {}}]}], policyTypes: [Ingress, Egress]}`),
	}
}

func TestSocketsSeeWhatThePoliciesSay(t *testing.T) {
	if !needNFT(t) {
		return
	}
	s := newSite(t, true)
	for name, policies := range cases(t) {
		t.Run(name, func(t *testing.T) { s.agree(t, policies...) })
	}
}

func TestSocketsSeeWhatThePoliciesSayWithoutBridgeNetfilter(t *testing.T) {
	if !needNFT(t) {
		return
	}
	s := newSite(t, false)
	for name, policies := range cases(t) {
		t.Run(name, func(t *testing.T) { s.agree(t, policies...) })
	}
}

// exchange says something and waits to hear it again.
func exchange(conn net.Conn) error {
	word, heard, text := fmt.Sprintf("<%d>", time.Now().UnixNano()), "", make([]byte, 200)
	conn.SetDeadline(time.Now().Add(brief))
	if _, err := conn.Write([]byte(word)); err != nil {
		return err
	}
	for !strings.Contains(heard, word) {
		n, err := conn.Read(text)
		if err != nil {
			return err
		}
		heard += string(text[:n])
	}
	return nil
}

func TestAConnectionEndsWithItsPermission(t *testing.T) {
	if needNFT(t) {
		connectionsEnd(t, newSite(t, true))
	}
}

func TestAConnectionEndsWithItsPermissionWithoutBridgeNetfilter(t *testing.T) {
	if needNFT(t) {
		connectionsEnd(t, newSite(t, false))
	}
}

func connectionsEnd(t *testing.T, s *site) {
	for _, from := range []*guest{s.a, s.far} {
		for n, to := range s.b.addrs {
			for _, protocol := range []string{"tcp", "udp"} {
				t.Run(fmt.Sprintf("%s %s %s", from.name, protocol, to), func(t *testing.T) {
					s.force(t)
					port := map[string]int{"tcp": 81, "udp": 53}[protocol]
					conn, err := from.dial(protocol, to, port)
					must(t, err)
					defer conn.Close()
					must(t, exchange(conn))
					s.force(t, policyOf(t, "one", "other", `{podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: {}}]}]}`))
					must(t, exchange(conn))
					s.force(t, policyOf(t, "one", "deny", `{podSelector: {matchLabels: {app: b}}}`))
					for range 2 {
						if err := exchange(conn); err == nil {
							t.Error("it goes on")
						}
					}
					// The way back is open by itself: b may talk to others. An answer is not that.
					if err := s.b.reach("tcp", from.addrs[n], 80); err != nil {
						t.Errorf("b cannot connect: %v", err)
					}
				})
			}
		}
	}
}
