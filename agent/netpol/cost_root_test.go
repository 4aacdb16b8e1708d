package netpol

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// TestRulesOfManyPods changes rules at random and compares what stands with rules made anew.
func TestRulesOfManyPods(t *testing.T) {
	if !needNFT(t) {
		return
	}
	k := newKernel(Config{Bridge: "cni0"})
	k.noted = true
	for _, pods := range []int{100, 1000} {
		c := many(t, pods, 100)
		first, _ := compile(c)
		began := time.Now()
		k.sure = false
		must(t, k.enforce(t.Context(), first))
		whole := time.Since(began)
		var one, policy time.Duration
		const rounds = 10
		for i := range rounds {
			began = time.Now()
			c.pods = append(c.pods, podOf("n1", fmt.Sprint("new", i), labels.Set{"app": "new"}, true, netip.AddrFrom4([4]byte{10, 42, 200, byte(i)})))
			rules, _ := compile(c)
			must(t, k.enforce(t.Context(), rules))
			one += time.Since(began)
			began = time.Now()
			c.policies = append(c.policies, policyOf(t, "n2", fmt.Sprint("more", i), `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: "1"}}}]}]}`))
			rules, _ = compile(c)
			must(t, k.enforce(t.Context(), rules))
			policy += time.Since(began)
		}
		fmt.Fprintf(os.Stderr, "%d pods, 100 of them on this node, 10 policies: all rules %v, a pod more %v, a policy more %v\n", pods,
			whole.Round(100*time.Microsecond), (one / rounds).Round(100*time.Microsecond), (policy / rounds).Round(100*time.Microsecond))
		stands := listing(t)
		after, _ := compile(c)
		k.sure = false
		must(t, k.enforce(t.Context(), after))
		if anew := listing(t); anew != stands {
			t.Errorf("what stands after changes differs from what is made anew:\n%s\n%s", stands, anew)
		}
	}
}

// TestLatency prints how long a connection takes to come about, and how long it takes with rules.
func TestLatency(t *testing.T) {
	if os.Getenv("SKERRY_MEASURE") == "" {
		t.Skip("a measurement, for a quiet machine: SKERRY_MEASURE=1 runs it")
	}
	if !needNFT(t) {
		return
	}
	s := newSite(t, true)
	measure := func(what string) {
		for _, from := range []*guest{s.a, s.far} {
			const times = 2000
			began := time.Now()
			for range times {
				conn, err := from.dial("tcp", s.b.addrs[0], 80)
				must(t, err)
				conn.Close()
			}
			connect := (time.Since(began) / times).Round(100 * time.Nanosecond)
			fmt.Fprintf(os.Stderr, "%s, from %s: %v to connect, %d MB/s there and back\n", what, from.name, connect, stream(t, from, s.b.addrs[0])>>20)
		}
	}
	must(t, s.rest(t.Context()))
	measure("no policies")
	measure("no policies, again")
	c := many(t, 1000, 100)
	for _, p := range s.pods {
		p.namespace = "n1"
	}
	c.pods = append(c.pods, s.pods...)
	var policies []*networking.NetworkPolicy
	for i := range 20 {
		policies = append(policies, policyOf(t, "n1", fmt.Sprint("some", i), fmt.Sprintf(`{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {app: "%d"}}}], ports: [{port: 80}]}], egress: [{to: [{podSelector: {matchLabels: {app: "%d"}}}]}]}`, i, i)))
	}
	c.policies = append(c.policies, policies...)
	c.policies = append(c.policies, policyOf(t, "n1", "z", `{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}]}], egress: [{to: [{podSelector: {}}]}]}`))
	rules, _ := compile(c)
	must(t, s.enforce(t.Context(), rules))
	measure("31 policies, 1000 pods, 22 of them on either pod")
	must(t, s.rest(t.Context()))
	measure("no policies, at last")
}

// stream tells how many bytes come back within a second.
func stream(t *testing.T, from *guest, to netip.Addr) int64 {
	t.Helper()
	conn, err := from.dial("tcp", to, 81)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(time.Second)))
	go func() {
		for text := make([]byte, 64<<10); ; {
			if _, err := conn.Write(text); err != nil {
				return
			}
		}
	}()
	n, _ := io.Copy(io.Discard, conn) // until the second is over
	return n
}

func listing(t *testing.T) string {
	t.Helper()
	out, err := nftOutput("list", "table", "inet", table)
	must(t, err)
	lines := strings.Split(strings.Join(strings.Fields(out), " "), "} ") // objects come in an order of their own
	for i, line := range lines {
		words := strings.Fields(strings.ReplaceAll(line, ",", ""))
		if !strings.HasPrefix(line, "chain") {
			slices.Sort(words) // and so do elements
		}
		lines[i] = strings.Join(words, " ")
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
