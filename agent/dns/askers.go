package dns

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// askers are who may ask: pods, and this machine. Without them the node would be a resolver for everyone who can reach
// it.
type askers struct {
	pods  []netip.Prefix
	local func() []netip.Addr // the machine's addresses

	mu     sync.Mutex // guards what follows
	known  []netip.Addr
	looked time.Time
}

// lookAgain is how soon after the last time the machine's addresses are looked at again.
const lookAgain = time.Second

func newAskers(pods []netip.Prefix) *askers { return &askers{pods: pods, local: localAddresses} }

// may says that questions from this address are answered.
func (a *askers) may(from netip.Addr) bool {
	from = from.WithZone("")
	if from.IsLoopback() || slices.ContainsFunc(a.pods, func(p netip.Prefix) bool { return p.Contains(from) }) {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.Contains(a.known, from) {
		return true
	}
	if time.Since(a.looked) < lookAgain {
		return false
	}
	a.known, a.looked = a.local(), time.Now() // an address may have come since
	return slices.Contains(a.known, from)
}

// localAddresses are all of this machine. One that cannot be asked for them has none.
func localAddresses() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var all []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Addr().Unmap())
		}
	}
	return all
}
