package netpol

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// table is the name of our tables.
const table = "skerry-netpol"

// script is text for nft. All of it happens, or nothing.
type script struct{ strings.Builder }

func (s *script) line(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

// replacement makes the whole table anew.
func replacement(r ruleset, bridge string) string {
	var s script
	s.line("add table inet %s", table)
	s.line("delete table inet %s", table)
	s.line("add table inet %s", table)
	s.frame()
	s.advance(ruleset{}, r)
	s.entrance(bridge)
	return s.String()
}

// change makes the rules of before those of after.
func change(before, after ruleset) string {
	var s script
	s.advance(before, after)
	return s.String()
}

// removal takes the table away, if it is there.
func removal(family string) string {
	var s script
	s.line("add table %s %s", family, table)
	s.line("delete table %s %s", family, table)
	return s.String()
}

// frame is what stands in the table whatever the policies are.
func (s *script) frame() {
	for _, f := range []family{v4, v6} {
		s.line("add set inet %s isolated%s { type %s; }", table, f, f.kind())
		s.line("add set inet %s self%s { type %s . %s; }", table, f, f.kind(), f.kind())
	}
	for _, p := range places() {
		s.line("add map inet %s %s { type %s : verdict; }", table, p, p.family.kind())
	}
	for _, name := range []string{"fresh", "related", "stray", "crossing"} {
		s.line("add chain inet %s %s", table, name)
	}
}

// entrance leads packets to the chains. What is judged is the connection, by its two ends as conntrack knows them, and not
// the packet: so both directions end when a policy ends them, and Services are seen as the pods behind them.
func (s *script) entrance(bridge string) {
	rule := func(chain, text string) { s.line("add rule inet %s %s %s", table, chain, text) }
	// The middle of a connection that conntrack does not know would begin a new one, perhaps the other way round.
	rule("fresh", "tcp flags & (fin | syn | rst | ack) != syn jump stray")
	// What went wrong with a connection is told by another protocol.
	rule("related", "meta l4proto { icmp, ipv6-icmp } accept")
	rule("stray", "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert, mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept")
	for _, f := range []family{v4, v6} {
		rule("stray", fmt.Sprintf("%s saddr @isolated%s drop", f.header(), f))
		rule("stray", fmt.Sprintf("%s daddr @isolated%s drop", f.header(), f))
	}
	// Between pods of one bridge there are packets that no address of a pod is in.
	rule("crossing", "meta pkttype { broadcast, multicast } drop")
	rule("crossing", "ip6 saddr fe80::/10 drop")
	rule("crossing", "ip6 daddr fe80::/10 drop")
	s.line("add chain inet %s forward { type filter hook forward priority filter; policy accept; }", table)
	rule("forward", "ct state vmap { invalid : jump stray, untracked : jump stray, new : jump fresh, related : jump related }")
	rule("forward", fmt.Sprintf("iifname %q oifname %q jump crossing", bridge, bridge))
	for _, f := range []family{v4, v6} {
		client, server := f.client(), f.server()
		rule("forward", fmt.Sprintf("%s . %s @self%s accept", client, server, f))
		rule("forward", fmt.Sprintf("%s vmap @%s", client, place{egress, f}))
		rule("forward", fmt.Sprintf("%s vmap @%s", server, place{ingress, f}))
	}
}

// advance makes sets, chains and maps those of after. First comes what others need, last goes what nobody needs any more.
func (s *script) advance(before, after ruleset) {
	was, is := before.sets, after.sets
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if _, there := was[name]; !there {
			flags := ""
			if is[name].ranges {
				flags = " flags interval;"
			}
			s.line("add set inet %s %s { type %s;%s }", table, name, is[name].family.kind(), flags)
		}
		s.members(name, was[name].members, is[name].members)
	}
	for _, name := range slices.Sorted(maps.Keys(after.chains)) {
		if _, there := before.chains[name]; !there {
			s.chain(name, after.chains[name])
		}
	}
	for _, f := range []family{v4, v6} {
		old, now := before.isolated(f), after.isolated(f)
		s.members("isolated"+string(f), texts(old), texts(now))
		s.members("self"+string(f), pairs(old), pairs(now))
	}
	for _, p := range places() {
		s.members(p.String(), verdicts(before.maps[p]), verdicts(after.maps[p]))
	}
	for _, name := range slices.Sorted(maps.Keys(before.chains)) {
		if _, stays := after.chains[name]; !stays {
			s.line("delete chain inet %s %s", table, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if _, stays := is[name]; !stays {
			s.line("delete set inet %s %s", table, name)
		}
	}
}

// members makes the elements of a set or map those of is. Both are sorted.
func (s *script) members(name string, was, is []string) {
	gone, come := apart(was, is)
	if len(gone) > 0 {
		s.line("delete element inet %s %s { %s }", table, name, strings.Join(gone, ", "))
	}
	if len(come) > 0 {
		s.line("add element inet %s %s { %s }", table, name, strings.Join(come, ", "))
	}
}

// apart gives what is only in one of two sorted lists.
func apart(was, is []string) (gone, come []string) {
	for len(was) > 0 || len(is) > 0 {
		switch {
		case len(is) == 0 || len(was) > 0 && was[0] < is[0]:
			gone, was = append(gone, was[0]), was[1:]
		case len(was) == 0 || is[0] < was[0]:
			come, is = append(come, is[0]), is[1:]
		default:
			was, is = was[1:], is[1:]
		}
	}
	return gone, come
}

func (s *script) chain(name string, c chain) {
	s.line("add chain inet %s %s", table, name)
	for _, r := range c.rules {
		s.line("add rule inet %s %s %s", table, name, r.text(c.place))
	}
	s.line("add rule inet %s %s drop comment %q", table, name, shortened(c.note))
}

// text is a rule in nft's words. In its chain it returns, which lets the connection go on to be judged the other way.
func (r rule) text(p place) string {
	own, other := p.family.server(), p.family.client()
	if p.way == egress {
		own, other = other, own
	}
	var words []string
	if r.protocol != "" {
		words = append(words, "meta l4proto "+r.protocol)
	}
	if len(r.ports) > 0 {
		words = append(words, "ct reply proto-src "+portSet(r.ports))
	}
	if r.own != "" {
		words = append(words, own+" @"+r.own)
	}
	if r.peers != "" {
		words = append(words, other+" @"+r.peers)
	}
	return strings.Join(append(words, "return"), " ")
}

// portSet is what a port has to be in: a range, or the set that compile made of several.
func portSet(spans []span) string {
	if len(spans) == 1 {
		return spans[0].String()
	}
	return "@" + portSetName(spans)
}

// shortened is what nft takes as a comment.
func shortened(text string) string {
	const most = 120
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

func (p place) String() string { return string(p.way) + string(p.family) }

// kind is the type of an address, header where a packet has it, client and server the ends of a connection.
func (f family) kind() string {
	return map[family]string{v4: "ipv4_addr", v6: "ipv6_addr", ports: "inet_service"}[f]
}
func (f family) header() string { return map[family]string{v4: "ip", v6: "ip6"}[f] }
func (f family) client() string { return "ct original " + f.header() + " saddr" }
func (f family) server() string { return "ct reply " + f.header() + " saddr" }

func texts(all []netip.Addr) []string {
	var lines []string
	for _, a := range all {
		lines = append(lines, a.String())
	}
	slices.Sort(lines)
	return lines
}

func pairs(all []netip.Addr) []string {
	var lines []string
	for _, a := range all {
		lines = append(lines, a.String()+" . "+a.String())
	}
	slices.Sort(lines)
	return lines
}

func verdicts(m map[netip.Addr]string) []string {
	var lines []string
	for a, chain := range m {
		lines = append(lines, a.String()+" : jump "+chain)
	}
	slices.Sort(lines)
	return lines
}
