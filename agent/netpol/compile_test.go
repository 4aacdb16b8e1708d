package netpol

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// passes does what the kernel does with a ruleset.
func (r ruleset) passes(client, server netip.Addr, protocol string, port uint16) bool {
	if client == server && slices.Contains(r.isolated(familyOf(client)), client) {
		return true
	}
	f := familyOf(client)
	return r.judges(place{egress, f}, client, server, protocol, port) && r.judges(place{ingress, f}, server, client, protocol, port)
}

func (r ruleset) judges(p place, own, other netip.Addr, protocol string, port uint16) bool {
	name, judged := r.maps[p][own]
	if !judged {
		return true
	}
	c, there := r.chains[name]
	if !there || c.place != p {
		panic("no such chain: " + name)
	}
	return slices.ContainsFunc(c.rules, func(u rule) bool {
		return (u.protocol == "" || u.protocol == protocol) && (len(u.ports) == 0 || slices.ContainsFunc(u.ports, func(s span) bool { return s.first <= port && port <= s.last })) &&
			(u.own == "" || r.holds(u.own, own)) && (u.peers == "" || r.holds(u.peers, other))
	})
}

func (r ruleset) holds(name string, a netip.Addr) bool {
	s, there := r.sets[name]
	if !there || s.family != familyOf(a) {
		panic("no such set: " + name)
	}
	return slices.ContainsFunc(s.members, func(m string) bool {
		first, last, isRange := strings.Cut(m, "-")
		if !isRange {
			last = first
		}
		return addresses{netip.MustParseAddr(first), netip.MustParseAddr(last)}.contains(a)
	})
}

// dice makes clusters that nobody would think of.
type dice struct{ *rand.Rand }

func (d dice) maybe() bool { return d.IntN(2) == 0 }

func pick[T any](d dice, all ...T) T { return all[d.IntN(len(all))] }

func some[T any](d dice, most int, make func() T) []T {
	var all []T
	for range d.IntN(most + 1) {
		all = append(all, make())
	}
	return all
}

func (d dice) labels() labels.Set {
	set := labels.Set{}
	for _, key := range []string{"app", "tier"} {
		if d.maybe() {
			set[key] = pick(d, "a", "b", "c")
		}
	}
	return set
}

func (d dice) selector() *meta.LabelSelector {
	s := &meta.LabelSelector{}
	switch d.IntN(4) {
	case 0:
		s.MatchLabels = d.labels()
	case 1:
		s.MatchExpressions = []meta.LabelSelectorRequirement{{Key: "app", Operator: pick(d, meta.LabelSelectorOpIn, meta.LabelSelectorOpNotIn), Values: []string{"a", "b"}}}
	case 2:
		s.MatchExpressions = []meta.LabelSelectorRequirement{{Key: "tier", Operator: pick(d, meta.LabelSelectorOpExists, meta.LabelSelectorOpDoesNotExist)}}
	}
	return s
}

func (d dice) address() netip.Addr {
	if d.maybe() {
		return netip.AddrFrom4([4]byte{10, 42, byte(d.IntN(2)), byte(d.IntN(8))})
	}
	raw := netip.MustParseAddr("fd00:42::").As16()
	raw[15] = byte(d.IntN(16))
	return netip.AddrFrom16(raw)
}

func (d dice) cidr() string {
	a := d.address()
	return netip.PrefixFrom(a, a.BitLen()-d.IntN(6)).Masked().String()
}

func (d dice) port() networking.NetworkPolicyPort {
	p := networking.NetworkPolicyPort{}
	if d.maybe() {
		protocol := pick(d, core.ProtocolTCP, core.ProtocolUDP, core.ProtocolSCTP, core.Protocol("ICMP"))
		p.Protocol = &protocol
	}
	switch d.IntN(5) {
	case 0:
	case 1:
		name := intstr.FromString(pick(d, "web", "dns", "nobody"))
		p.Port = &name
	default:
		number := intstr.FromInt32(pick[int32](d, 1, 2, 3, 4, 0, 65535, 70000))
		p.Port = &number
		if d.maybe() {
			last := number.IntVal + pick[int32](d, 0, 1, 2, -1)
			p.EndPort = &last
		}
	}
	return p
}

func (d dice) peer() networking.NetworkPolicyPeer {
	switch d.IntN(6) {
	case 0:
		return networking.NetworkPolicyPeer{IPBlock: &networking.IPBlock{CIDR: d.cidr(), Except: some(d, 2, d.cidr)}}
	case 1:
		return networking.NetworkPolicyPeer{NamespaceSelector: d.selector()}
	case 2:
		return networking.NetworkPolicyPeer{NamespaceSelector: d.selector(), PodSelector: d.selector()}
	case 3:
		return pick(d, networking.NetworkPolicyPeer{}, networking.NetworkPolicyPeer{IPBlock: &networking.IPBlock{CIDR: pick(d, "x", "10.42.0.0/40")}},
			networking.NetworkPolicyPeer{IPBlock: &networking.IPBlock{CIDR: "10.42.0.0/16", Except: []string{"10.42"}}})
	}
	return networking.NetworkPolicyPeer{PodSelector: d.selector()}
}

func (d dice) policy(i int) *networking.NetworkPolicy {
	p := &networking.NetworkPolicy{}
	p.Namespace, p.Name = pick(d, "one", "two", "three"), fmt.Sprint("p", i)
	p.Spec.PodSelector = *d.selector()
	p.Spec.PolicyTypes = pick(d, nil, []networking.PolicyType{"Ingress"}, []networking.PolicyType{"Egress"}, []networking.PolicyType{"Ingress", "Egress"})
	p.Spec.Ingress = some(d, 2, func() networking.NetworkPolicyIngressRule {
		return networking.NetworkPolicyIngressRule{From: some(d, 2, d.peer), Ports: some(d, 2, d.port)}
	})
	p.Spec.Egress = some(d, 2, func() networking.NetworkPolicyEgressRule {
		return networking.NetworkPolicyEgressRule{To: some(d, 2, d.peer), Ports: some(d, 2, d.port)}
	})
	return p
}

func (d dice) cluster() cluster {
	c := cluster{namespaces: map[string]labels.Set{"one": d.labels(), "two": d.labels()}} // three is one that is not known yet
	taken := map[netip.Addr]bool{}
	for i := range 3 + d.IntN(6) {
		p := podOf(pick(d, "one", "two", "three"), fmt.Sprint("pod", i), d.labels(), d.maybe())
		p.ports = some(d, 3, func() namedPort {
			return namedPort{pick(d, "web", "dns"), pick(d, "tcp", "udp"), uint16(1 + d.IntN(4))}
		})
		for range d.IntN(3) {
			if a := d.address(); !taken[a] && !slices.ContainsFunc(p.addresses, func(other netip.Addr) bool { return familyOf(other) == familyOf(a) }) {
				taken[a] = true
				p.addresses = append(p.addresses, a)
			}
		}
		c.pods = append(c.pods, p)
	}
	for i := range d.IntN(5) {
		c.policies = append(c.policies, d.policy(i))
	}
	return c
}

func TestRulesSayWhatThePoliciesSay(t *testing.T) {
	seed := rand.Uint64()
	d := dice{rand.New(rand.NewPCG(seed, 1))}
	asked, open := 0, 0
	for range 3000 {
		c := d.cluster()
		rules, _ := compile(c)
		for range 30 {
			client, server := d.address(), d.address()
			if client.BitLen() != server.BitLen() {
				continue
			}
			protocol, port := pick(d, "tcp", "udp", "sctp", "icmp"), uint16(pick(d, 1, 2, 3, 4, 5, 65535))
			var to *pod
			for _, p := range c.pods {
				if slices.Contains(p.addresses, server) {
					to = p
				}
			}
			want := allowed(c, client, to, server, protocol, port)
			asked++
			if want {
				open++
			}
			if got := rules.passes(client, server, protocol, port); got != want {
				t.Fatalf("seed %d: %s to %s, %s %d: passes is %t\npods %v\npolicies %v\nrules %+v", seed, client, server, protocol, port, got, show(c.pods), show(c.policies), rules)
			}
		}
	}
	if open == 0 || open == asked {
		t.Errorf("%d of %d are open", open, asked)
	}
}

func show[T any](all []*T) string {
	var text []string
	for _, one := range all {
		text = append(text, fmt.Sprintf("%+v", *one))
	}
	return strings.Join(text, "\n")
}

func TestBadInputLetsNothingPassAndHarmsNobody(t *testing.T) {
	a, b := netip.MustParseAddr("10.42.0.2"), netip.MustParseAddr("10.42.0.3")
	for name, c := range map[string]struct{ spec, problem string }{
		"a CIDR that is none":            {`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.42.0.0/99}}]}]}`, "no range of addresses"},
		"a hole that is none":            {`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [hole]}}]}]}`, "no range of addresses"},
		"IPv4 in IPv6":                   {`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "::ffff:10.42.0.0/112"}}]}]}`, "IPv6"},
		"a protocol":                     {`{podSelector: {}, ingress: [{ports: [{protocol: DCCP, port: 80}]}]}`, `"DCCP" is not known`},
		"endPort below port":             {`{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 79}]}]}`, "are no range"},
		"endPort with a name":            {`{podSelector: {}, ingress: [{ports: [{port: web, endPort: 90}]}]}`, "cannot begin a range"},
		"endPort alone":                  {`{podSelector: {}, ingress: [{ports: [{endPort: 90}]}]}`, "there is no port"},
		"port 0":                         {`{podSelector: {}, ingress: [{ports: [{port: 0}]}]}`, "are no range"},
		"a name that no pod has":         {`{podSelector: {}, ingress: [{ports: [{port: nowhere}]}]}`, ""},
		"a peer that is nobody":          {`{podSelector: {}, ingress: [{from: [{}]}]}`, "names nobody"},
		"a peer that is both":            {`{podSelector: {}, ingress: [{from: [{podSelector: {}, ipBlock: {cidr: 0.0.0.0/0}}]}]}`, "make two peers"},
		"an operator":                    {`{podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: Like}]}}]}]}`, "podSelector"},
		"an operator in namespace":       {`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: app, operator: Like}]}}]}]}`, "namespaceSelector"},
		"all of an address family":       {`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "::/0"}}]}]}`, ""},
		"a block all of which is a hole": {`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/9, 10.128.0.0/9]}}]}]}`, ""},
	} {
		rules, problems := compile(cluster{
			namespaces: map[string]labels.Set{"one": {}, "two": {}},
			pods:       []*pod{podOf("one", "a", nil, true, a), podOf("two", "b", nil, true, b)},
			policies:   []*networking.NetworkPolicy{policyOf(t, "one", "bad", c.spec), policyOf(t, "two", "good", `{podSelector: {}, ingress: [{ports: [{port: 80}]}]}`)},
		})
		if rules.passes(b, a, "tcp", 80) {
			t.Errorf("%s: something passes", name)
		}
		if !rules.passes(a, b, "tcp", 80) || rules.passes(a, b, "tcp", 81) {
			t.Errorf("%s: another policy does not hold", name)
		}
		if err := problems["one/bad"]; (err != nil) != (c.problem != "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: the problem is %v", name, err)
		}
		if len(problems) > 1 {
			t.Errorf("%s: problems are %v", name, problems)
		}
	}
}

func TestAPolicyWhoseSelectorCannotBeReadSelectsNothing(t *testing.T) {
	a := netip.MustParseAddr("10.42.0.2")
	rules, problems := compile(cluster{pods: []*pod{podOf("one", "a", nil, true, a)},
		policies: []*networking.NetworkPolicy{policyOf(t, "one", "bad", `{podSelector: {matchExpressions: [{key: app, operator: Like}]}}`)}})
	if len(rules.isolated(v4)) > 0 || problems["one/bad"] == nil {
		t.Errorf("got %v, %v", rules, problems)
	}
}

func TestPodsOfTheSamePoliciesShareAChain(t *testing.T) {
	c := many(t, 100, 100)
	rules, _ := compile(c)
	if len(rules.maps[place{ingress, v4}]) != 100 || len(rules.chains) != 10 {
		t.Errorf("%d pods have %d chains", len(rules.maps[place{ingress, v4}]), len(rules.chains))
	}
}

// many is a cluster of pods in ten namespaces, each with a policy that lets in the next one's.
func many(t testing.TB, pods, local int) cluster {
	c := cluster{namespaces: map[string]labels.Set{}}
	for i := range 10 {
		name := fmt.Sprint("n", i)
		c.namespaces[name] = labels.Set{"name": name}
		c.policies = append(c.policies, policyOf(t, name, "p", fmt.Sprintf(`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {name: n%d}}}, {ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: 80}, {port: 443}]}]}`, (i+1)%10)))
	}
	for i := range pods {
		a := netip.AddrFrom4([4]byte{10, 42, byte(i / 250), byte(2 + i%250)})
		c.pods = append(c.pods, podOf(fmt.Sprint("n", i%10), fmt.Sprint("pod", i), labels.Set{"app": fmt.Sprint(i % 50)}, i < local, a))
	}
	return c
}

func BenchmarkCompile(b *testing.B) {
	for _, pods := range []int{100, 1000} {
		c := many(b, pods, 100)
		b.Run(fmt.Sprint(pods, " pods"), func(b *testing.B) {
			for b.Loop() {
				compile(c)
			}
		})
	}
}

func TestWhatDiffersIsAllThatChanges(t *testing.T) {
	c := many(t, 100, 20)
	before, _ := compile(c)
	if text := change(before, before); text != "" {
		t.Errorf("nothing changes, and that is %s", text)
	}
	c.pods = append(c.pods, podOf("n1", "new", nil, false, netip.MustParseAddr("10.42.9.9")))
	after, _ := compile(c)
	text := change(before, after)
	if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "add element inet skerry-netpol pods4-") || !strings.Contains(text, "{ 10.42.9.9 }") {
		t.Errorf("a pod of another node is %s", text)
	}
	if text := change(after, before); strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "delete element") {
		t.Errorf("its end is %s", text)
	}
}

func TestRangesAreJoined(t *testing.T) {
	parse := func(texts ...string) []addresses {
		var all []addresses
		for _, text := range texts {
			r, err := parseCIDR(text)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
		return all
	}
	for want, ranges := range map[string][]addresses{
		"[10.0.0.0-10.0.1.255]":                        parse("10.0.1.0/24", "10.0.0.0/24"),
		"[0.0.0.0-255.255.255.255]":                    parse("255.0.0.0/8", "0.0.0.0/0", "10.0.0.1/32"),
		"[10.0.0.1 10.0.0.3]":                          parse("10.0.0.3/32", "10.0.0.1/32", "10.0.0.1/32"),
		"[10.0.0.0-10.255.255.255]":                    parse("010.0.0.7/8"),
		"[::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]": parse("::/0", "ffff::/16"),
	} {
		if got := fmt.Sprint(joined(ranges)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
