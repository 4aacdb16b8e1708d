package host

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// MissingNFT tells which of the named nftables expressions ("masq", "numgen", ...) the kernel has not. Call it in a
// throw-away network namespace (InThrowAway). An error means that it could not be tried.
//
// Each is put, without its arguments, into a rule of a transaction that therefore never succeeds; the kernel answers
// "no such entry" for an expression it does not know, and something else for one that it knows.
func MissingNFT(expressions []string) ([]string, error) {
	if err := nfBatch(nfNewTable(unix.NLM_F_ACK)); err != nil {
		return nil, fmt.Errorf("nf_tables: %w", err)
	}
	var missing []string
	for _, name := range expressions {
		expr := nfNested(unix.NFTA_LIST_ELEM, nfString(unix.NFTA_EXPR_NAME, name))
		rule := append(nfString(unix.NFTA_RULE_TABLE, nfProbeName), nfString(unix.NFTA_RULE_CHAIN, nfProbeName)...)
		rule = append(rule, nfNested(unix.NFTA_RULE_EXPRESSIONS, expr)...)
		err := nfBatch(nfNewTable(0), nfNewChain("filter", unix.NF_INET_LOCAL_OUT, 0),
			nfMessage{kind: unix.NFT_MSG_NEWRULE, flags: unix.NLM_F_CREATE | unix.NLM_F_APPEND | unix.NLM_F_ACK, family: unix.NFPROTO_IPV4, attrs: rule})
		if errors.Is(err, unix.ENOENT) {
			missing = append(missing, name)
		}
	}
	if err := nfBatch(nfNewTable(0), nfNewChain("nat", unix.NF_INET_POST_ROUTING, unix.NLM_F_ACK)); errors.Is(err, unix.ENOENT) {
		missing = append(missing, "nat chains")
	}
	return missing, nil
}

const nfProbeName = "skerry-probe"

func nfNewTable(flags uint16) nfMessage {
	return nfMessage{kind: unix.NFT_MSG_NEWTABLE, flags: unix.NLM_F_CREATE | flags, family: unix.NFPROTO_IPV4, attrs: nfString(unix.NFTA_TABLE_NAME, nfProbeName)}
}

// nfNewChain is a base chain; the priority is that of source NAT, right enough for a probe.
func nfNewChain(chainType string, hook uint32, flags uint16) nfMessage {
	attrs := append(nfString(unix.NFTA_CHAIN_TABLE, nfProbeName), nfString(unix.NFTA_CHAIN_NAME, nfProbeName+"-"+chainType)...)
	if chainType == "filter" {
		attrs = append(nfString(unix.NFTA_CHAIN_TABLE, nfProbeName), nfString(unix.NFTA_CHAIN_NAME, nfProbeName)...)
	}
	place := append(nfNumber(unix.NFTA_HOOK_HOOKNUM, hook), nfNumber(unix.NFTA_HOOK_PRIORITY, 100)...)
	attrs = append(attrs, nfNested(unix.NFTA_CHAIN_HOOK, place)...)
	attrs = append(attrs, nfString(unix.NFTA_CHAIN_TYPE, chainType)...)
	return nfMessage{kind: unix.NFT_MSG_NEWCHAIN, flags: unix.NLM_F_CREATE | flags, family: unix.NFPROTO_IPV4, attrs: attrs}
}
