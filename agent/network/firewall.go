package network

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
)

// chain is what `nft -j list chains` tells of one chain.
type chain struct {
	Family string `json:"family"`
	Table  string `json:"table"`
	Name   string `json:"name"`
	Hook   string `json:"hook"`
	Policy string `json:"policy"`
}

// warnOfFirewall says when another program's firewall drops what is forwarded, as Docker's does: a packet must pass
// every table, so rules of ours cannot help, and the tables of others are not ours to change.
func warnOfFirewall(ctx context.Context, pods []netip.Prefix, log *slog.Logger) error {
	text, err := exec.CommandContext(ctx, "nft", "-j", "list", "chains").Output()
	if err != nil {
		return fmt.Errorf("list the firewall's chains: %w", err)
	}
	drops, err := dropping(text)
	if err != nil {
		return err
	}
	for _, c := range drops {
		log.Warn("another firewall on this host drops forwarded packets, so pods may reach nothing",
			"chain", c.Family+" "+c.Table+" "+c.Name, "cure", cure(c, pods))
	}
	return nil
}

// dropping are the chains that drop what they do not know when it is forwarded.
func dropping(text []byte) ([]chain, error) {
	var list struct {
		Items []struct {
			Chain *chain `json:"chain"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("read the firewall's chains: %w", err)
	}
	var drops []chain
	for _, item := range list.Items {
		if c := item.Chain; c != nil && c.Hook == "forward" && c.Policy == "drop" {
			drops = append(drops, *c)
		}
	}
	return drops, nil
}

// cure is the command that lets pods through; Docker keeps a chain for such rules.
func cure(c chain, pods []netip.Prefix) string {
	where := c.Name
	if c.Table == "filter" && c.Name == "FORWARD" {
		where = "DOCKER-USER (with Docker; else FORWARD)"
	}
	return fmt.Sprintf("accept %v as source and as destination in the chain %s", pods, where)
}
