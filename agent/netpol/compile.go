package netpol

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// compile says what the kernel of this node shall do. Problems are what could not be read, by policy: it lets nothing
// pass, and the rest of the policy and all others hold.
func compile(c cluster) (rules ruleset, problems map[string]error) {
	k := &compiler{cluster: c, classes: classes(c.pods), found: map[string][]*pod{}, parts: map[part][]rule{}, problems: map[string]error{},
		out: ruleset{sets: map[string]set{}, chains: map[string]chain{}, maps: map[place]map[netip.Addr]string{}}}
	for _, p := range places() {
		k.out.maps[p] = map[netip.Addr]string{}
	}
	policies := k.read()
	for _, class := range k.classes {
		if slices.ContainsFunc(class.pods, func(p *pod) bool { return p.local }) {
			k.judge(class, policies[class.namespace])
		}
	}
	return k.out, k.problems
}

// compiler is one run of compile.
type compiler struct {
	cluster
	classes  []*class
	found    map[string][]*pod // by the key of a peer
	parts    map[part][]rule
	out      ruleset
	problems map[string]error
}

// part is the share of one policy in a chain.
type part struct {
	place
	policy *policy
}

// read takes all policies apart, by namespace and in the order of their names.
func (k *compiler) read() map[string][]*policy {
	all := map[string][]*policy{}
	for _, n := range k.policies {
		p, err := read(n)
		if err != nil {
			k.problems[n.Namespace+"/"+n.Name] = err
		}
		if p != nil {
			all[p.namespace] = append(all[p.namespace], p)
		}
	}
	for _, list := range all {
		slices.SortFunc(list, func(a, b *policy) int { return strings.Compare(a.key, b.key) })
	}
	return all
}

// judge leads the connections of a class's pods on this node to the chains of the policies that select it.
func (k *compiler) judge(c *class, policies []*policy) {
	for _, place := range places() {
		var about []*policy
		for _, p := range policies {
			if _, has := p.ways[place.way]; has && p.pods.Matches(c.labels) {
				about = append(about, p)
			}
		}
		if len(about) == 0 {
			continue
		}
		name := ""
		for _, p := range c.pods {
			for _, a := range p.addresses {
				if !p.local || familyOf(a) != place.family {
					continue
				}
				if name == "" {
					name = k.chain(place, about)
				}
				k.out.maps[place][a] = name
			}
		}
	}
}

// chain gives the name of the chain that lets pass what one of these policies allows.
func (k *compiler) chain(at place, policies []*policy) string {
	c := chain{place: at}
	var names []string
	for _, p := range policies {
		names = append(names, p.key)
		for _, r := range k.part(part{at, p}) {
			if !slices.ContainsFunc(c.rules, r.equal) { // another policy may have said it
				c.rules = append(c.rules, r)
			}
		}
	}
	c.note = strings.Join(names, ", ")
	name := fmt.Sprintf("%s%s-%s", at.way, at.family, hash(fmt.Sprintf("%q %v", names, c.rules)))
	k.out.chains[name] = c
	return name
}

func (k *compiler) part(p part) []rule {
	rules, known := k.parts[p]
	if !known {
		for _, a := range p.policy.ways[p.way] {
			rules = append(rules, k.rules(p, a)...)
		}
		k.parts[p] = rules
	}
	return rules
}

// rules says an allowance for one family.
func (k *compiler) rules(p part, a allowance) []rule {
	var all []rule
	for _, d := range a.doors {
		if len(d.ports) > 1 {
			k.portSet(d.ports)
		}
		switch {
		case d.name == "":
			all = append(all, k.from(a, p.family, rule{protocol: d.protocol, ports: d.ports})...)
		case p.way == ingress:
			for number, pods := range k.named(k.selected(p.policy), d) {
				own := k.podSet(fmt.Sprintf("own|=%s|%s|%s|%s|%d", p.policy.namespace, p.policy.pods, d.protocol, d.name, number), p.family, pods)
				all = append(all, k.from(a, p.family, rule{own: own, protocol: d.protocol, ports: []span{{number, number}}})...)
			}
		default:
			for number, pods := range k.named(k.meant(a), d) {
				set := k.podSet(fmt.Sprintf("port|%s|%s|%s|%d", meaning(a), d.protocol, d.name, number), p.family, pods)
				all = append(all, rule{peers: set, protocol: d.protocol, ports: []span{{number, number}}})
			}
		}
	}
	slices.SortFunc(all, func(a, b rule) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return all
}

// from completes a rule by the peers of an allowance: one rule for pods and one for blocks.
func (k *compiler) from(a allowance, f family, r rule) []rule {
	if a.anyone {
		return []rule{r}
	}
	var all []rule
	if pods, any := k.pods(a); any {
		r.peers = k.podSet("pods|"+meaning(a), f, pods)
		all = append(all, r)
	}
	if set := k.blockSet(a, f); set != "" {
		r.peers = set
		all = append(all, r)
	}
	return all
}

// pods are those that the selectors of an allowance mean; any says that it has selectors.
func (k *compiler) pods(a allowance) (pods []*pod, any bool) {
	for _, p := range a.peers {
		if p.pods != nil {
			any = true
			pods = append(pods, k.find(p)...)
		}
	}
	return pods, any
}

// meant are all pods that an allowance lets pass, also those whose addresses lie in its blocks.
func (k *compiler) meant(a allowance) []*pod {
	if a.anyone {
		return k.cluster.pods
	}
	all, _ := k.pods(a)
	for _, p := range a.peers {
		for _, r := range p.block {
			for _, one := range k.cluster.pods {
				if slices.ContainsFunc(one.addresses, r.contains) {
					all = append(all, one)
				}
			}
		}
	}
	return all
}

// find gives the pods that a selector means.
func (k *compiler) find(p peer) []*pod {
	key := p.key()
	pods, known := k.found[key]
	if !known {
		for _, c := range k.classes {
			if k.inside(p, c.namespace) && p.pods.Matches(c.labels) {
				pods = append(pods, c.pods...)
			}
		}
		k.found[key] = pods
	}
	return pods
}

func (k *compiler) inside(p peer, namespace string) bool {
	if p.namespaces == nil {
		return namespace == p.namespace
	}
	set, known := k.namespaces[namespace]
	return known && p.namespaces.Matches(set)
}

// selected are this node's pods that a policy is about.
func (k *compiler) selected(p *policy) []*pod {
	all := k.find(peer{namespace: p.namespace, pods: p.pods})
	return slices.DeleteFunc(slices.Clone(all), func(p *pod) bool { return !p.local })
}

// named sorts pods by the number that a door's name stands for in them. A pod without such a port is under none.
func (k *compiler) named(pods []*pod, d door) map[uint16][]*pod {
	numbers := map[uint16][]*pod{}
	for _, p := range pods {
		for _, n := range p.port(d.name, d.protocol) {
			numbers[n] = append(numbers[n], p)
		}
	}
	return numbers
}

// podSet gives the name of the set of these pods' addresses. key says who is meant, so that the name stays when pods
// come and go.
func (k *compiler) podSet(key string, f family, pods []*pod) string {
	name := "pods" + string(f) + "-" + hash(key)
	if _, known := k.out.sets[name]; known {
		return name
	}
	members := map[string]bool{}
	for _, p := range pods {
		for _, a := range p.addresses {
			if familyOf(a) == f {
				members[a.String()] = true
			}
		}
	}
	k.out.sets[name] = set{family: f, members: slices.Sorted(maps.Keys(members))}
	return name
}

// blockSet gives the name of the set of the addresses in an allowance's blocks, empty when there are none of the family.
func (k *compiler) blockSet(a allowance, f family) string {
	var ranges []addresses
	for _, p := range a.peers {
		for _, r := range p.block {
			if familyOf(r.first) == f {
				ranges = append(ranges, r)
			}
		}
	}
	if len(ranges) == 0 {
		return ""
	}
	var members []string
	for _, r := range joined(ranges) {
		members = append(members, r.String())
	}
	name := "block" + string(f) + "-" + hash(strings.Join(members, ","))
	k.out.sets[name] = set{family: f, ranges: true, members: members}
	return name
}

// portSet makes the set that a rule with several ranges of ports needs.
func (k *compiler) portSet(spans []span) {
	var members []string
	for _, s := range spans {
		members = append(members, s.String())
	}
	k.out.sets[portSetName(spans)] = set{family: ports, ranges: true, members: members}
}

// meaning says in words whom an allowance is about.
func meaning(a allowance) string {
	if a.anyone {
		return "*"
	}
	var all []string
	for _, p := range a.peers {
		if p.pods != nil {
			all = append(all, p.key())
		} else {
			all = append(all, fmt.Sprint(p.block))
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ";")
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
