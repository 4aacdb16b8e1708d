package addresses

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/host"
)

const (
	// settle is how long addresses and routes have to be quiet before they are looked at.
	settle = 3 * time.Second
	// again is the pause before the kernel's events are followed anew.
	again = time.Second
)

// Changed is the end of a run whose addresses are no longer the machine's.
type Changed struct{ Before, Now []netip.Addr }

// Error says both.
func (c *Changed) Error() string {
	return fmt.Sprintf("the address of this node changed from %s to %s", list(c.Before), list(c.Now))
}

// Wanted says that this end is no failure, see run.Wanted.
func (c *Changed) Wanted() bool { return true }

// Afresh says that the program runs once more, see run.Afresh.
func (c *Changed) Afresh() bool { return true }

func list(ips []netip.Addr) string {
	var texts []string
	for _, ip := range ips {
		texts = append(texts, ip.String())
	}
	return strings.Join(texts, " and ")
}

// Config is what the node was started with.
type Config struct {
	Addresses []netip.Addr
	Fixed     bool // they stand in the settings
	// Count gives those of a list that count; nil when all do.
	Count func([]netip.Addr) []netip.Addr
	Log   *slog.Logger
}

// Run waits for another address and ends with a *Changed, or with nil when ctx ends.
func Run(ctx context.Context, c Config, ready func()) error {
	ready()
	if c.Fixed {
		<-ctx.Done()
		return nil
	}
	routed, err := host.HasDefaultRoute()
	if err != nil {
		return err
	}
	for {
		err := c.once(ctx, func() ([]netip.Addr, error) { return find(routed) })
		var moved *Changed
		if errors.As(err, &moved) {
			return moved
		}
		if ctx.Err() != nil {
			return nil
		}
		c.Log.Debug("the kernel's events are followed anew", "err", err)
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return nil
		}
	}
}

// find gives the addresses that a node would be started with now; none while there are none. A machine that had a
// way out and lost it only has addresses that lead nowhere.
func find(routed bool) ([]netip.Addr, error) {
	if routed {
		if has, err := host.HasDefaultRoute(); err != nil || !has {
			return nil, err
		}
	}
	return host.NodeIPs()
}

// once follows the kernel's events until they end or the address has changed.
func (c Config) once(ctx context.Context, find func() ([]netip.Addr, error)) error {
	events, stop, err := subscribe()
	if err != nil {
		return err
	}
	defer stop()
	return c.decide(ctx, events, find)
}

// decide looks when it is quiet. The first look sees what changed before the events were followed.
func (c Config) decide(ctx context.Context, events <-chan error, find func() ([]netip.Addr, error)) error {
	quiet := time.NewTimer(settle)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-events:
			if err != nil {
				return err
			}
			quiet.Reset(settle)
		case <-quiet.C:
			now, err := find()
			before := c.count(c.Addresses)
			now = c.count(now)
			switch {
			case err != nil || len(now) == 0:
				c.Log.Warn("this machine has no address that others could reach; the node keeps the one it had", "address", list(before))
			case slices.ContainsFunc(now, func(ip netip.Addr) bool { return !slices.Contains(before, ip) }):
				return &Changed{before, now}
			}
		}
	}
}

func (c Config) count(ips []netip.Addr) []netip.Addr {
	if c.Count == nil {
		return ips
	}
	return c.Count(ips)
}
