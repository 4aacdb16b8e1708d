package network

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"slices"
	"strings"

	"github.com/skerry-io/skerry/agent/network/overlay"
)

// chain is what `nft -j list chains` tells of one chain.
type chain struct {
	Family string `json:"family"`
	Table  string `json:"table"`
	Name   string `json:"name"`
	Hook   string `json:"hook"`
	Policy string `json:"policy"`
}

// warnOfFirewall says when another program's firewall drops what pods need: what is forwarded, as Docker's does, or what is
// sent to the host itself, as ufw's does. A packet must pass every table, so rules of ours cannot help, and the tables of
// others are not ours to change.
func warnOfFirewall(ctx context.Context, pods []netip.Prefix, backend string, log *slog.Logger) error {
	text, err := exec.CommandContext(ctx, "nft", "-j", "list", "chains").Output()
	if err != nil {
		return fmt.Errorf("list the firewall's chains: %w", err)
	}
	drops, err := dropping(text, pods)
	if err != nil {
		return err
	}
	for _, c := range drops {
		what := "another firewall on this host drops forwarded packets, so pods may reach nothing"
		if c.Hook == hookInput {
			what = "another firewall on this host drops packets that are sent to the host, so pods may get no DNS, and not reach the API or other nodes"
		}
		log.Warn(what, "chain", c.Family+" "+c.Table+" "+c.Name, "cure", cure(c, pods, backend))
	}
	return nil
}

// The hooks where a packet of a pod can be dropped.
const (
	hookForward = "forward"
	hookInput   = "input"
)

// dropping are the chains that drop what they do not know, of an IP family that pods have.
func dropping(text []byte, pods []netip.Prefix) ([]chain, error) {
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
		if c := item.Chain; c != nil && (c.Hook == hookForward || c.Hook == hookInput) && c.Policy == "drop" && c.concerns(pods) {
			drops = append(drops, *c)
		}
	}
	return drops, nil
}

// concerns says that packets of pods pass the chain.
func (c chain) concerns(pods []netip.Prefix) bool {
	return slices.ContainsFunc(pods, func(p netip.Prefix) bool {
		return c.Family == "inet" || c.Family == "ip" && p.Addr().Is4() || c.Family == "ip6" && p.Addr().Is6()
	})
}

// cure is the command that lets pods through; Docker keeps a chain for such rules, and ufw a command.
func cure(c chain, pods []netip.Prefix, backend string) string {
	if c.Hook == hookForward {
		where := c.Name
		if c.Table == "filter" && c.Name == "FORWARD" {
			where = "DOCKER-USER (with Docker; else FORWARD)"
		}
		return fmt.Sprintf("accept %v as source and as destination in the chain %s", pods, where)
	}
	var ufw []string
	for _, p := range pods {
		ufw = append(ufw, "`ufw allow from "+p.String()+"`")
	}
	text := fmt.Sprintf("accept %v as source in the chain %s (with ufw: %s)", pods, c.Name, strings.Join(ufw, ", "))
	if port := overlay.Port(backend); port != 0 {
		text += fmt.Sprintf(", and UDP port %d from the other nodes", port)
	}
	return text
}
