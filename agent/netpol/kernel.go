package netpol

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/skerry-io/skerry/internal/host"
)

// kernel is what stands in the kernel by our doing, as far as is known.
type kernel struct {
	run     func(ctx context.Context, text string) error
	apply   func(host.Change) error
	bridge  string
	pods    []netip.Prefix
	bridged func(policies bool) bool // packets that cross a bridge are shown to rules of family inet
	watch   func(ctx context.Context, lost func()) error
	mac     func(string) (string, error) // of an interface

	now    ruleset // what stands
	sure   bool    // now is known to stand
	stands bool    // there may be a table
	lifted string  // what the bridge table was made for, empty without one; unseen when an earlier run may have left one
	noted  bool    // the ledger has the tables
}

// unseen stands for what an earlier run may have left.
const unseen = "?"

// nft runs a script. Nothing of it happens when it fails.
func nft(ctx context.Context, text string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, firstLine(string(out)))
	}
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// enforce makes rules stand: by what differs from those that stand, or as a whole when that is not known or fails.
func (k *kernel) enforce(ctx context.Context, rules ruleset) error {
	if err := k.note(); err != nil {
		return err
	}
	if k.sure {
		text := change(k.now, rules)
		if text == "" {
			return nil
		}
		if err := k.run(ctx, text); err == nil {
			k.now = rules
			return nil
		} else if ctx.Err() != nil {
			return err
		}
	}
	k.sure, k.stands = false, true
	if err := k.run(ctx, replacement(rules, k.bridge)); err != nil {
		return fmt.Errorf("put the network policies in force: %w", err)
	}
	k.now, k.sure = rules, true
	return nil
}

// doubt is for when somebody else has changed what stands.
func (k *kernel) doubt() {
	k.sure = false
	if k.lifted != "" {
		k.lifted = unseen
	}
}

// rest takes the rules away.
func (k *kernel) rest(ctx context.Context) error {
	if !k.stands {
		return nil
	}
	if err := k.run(ctx, removal("inet")); err != nil {
		return fmt.Errorf("take the rules of network policies away: %w", err)
	}
	k.now, k.sure, k.stands = ruleset{}, false, false
	return nil
}

// note puts the tables into the ledger, once.
func (k *kernel) note() error {
	if k.noted {
		return nil
	}
	for _, f := range []string{"inet", "bridge"} {
		if err := k.apply(host.NFTable{Family: f, Name: table}); err != nil {
			return err
		}
	}
	k.noted = true
	return nil
}

// cross sees to it that what pods of this node send each other meets the rules. Where the kernel does not show it to
// them, it is lifted: with policies or without, since conntrack has to know connections that are older than the first one.
func (k *kernel) cross(ctx context.Context, policies bool) error {
	want, mac := "", ""
	if !k.bridged(policies) {
		var err error
		if mac, err = k.mac(k.bridge); err != nil {
			return err
		}
		if mac != "" { // without a bridge no pod has a neighbour
			want = fmt.Sprint(mac, " closed: ", policies)
		}
	}
	if want == k.lifted {
		return nil
	}
	if err := k.lift(ctx, mac, policies); err != nil {
		return fmt.Errorf("lead packets between pods of this node to the rules: %w", err)
	}
	k.lifted = want
	return nil
}

// lift makes the bridge table, or without a MAC takes it away.
func (k *kernel) lift(ctx context.Context, mac string, closed bool) error {
	if mac == "" {
		return k.run(ctx, removal("bridge"))
	}
	if err := k.note(); err != nil {
		return err
	}
	err := k.run(ctx, lifting(k.bridge, mac, k.pods, closed, true))
	if err != nil && closed { // this kernel may be one that cannot tell bridges by their names
		err = k.run(ctx, lifting(k.bridge, mac, k.pods, closed, false))
	}
	return err
}
