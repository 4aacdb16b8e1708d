package addresses

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
)

// subscribe gives a nil for changes that may concern the node's address, and an error when events were lost. stop must be
// called.
func subscribe() (events <-chan error, stop func(), err error) {
	done := make(chan struct{})
	var readers sync.WaitGroup
	stop = func() {
		close(done)
		readers.Wait()
	}
	out := make(chan error, 1)
	tell := func(event error) {
		select {
		case out <- event:
		default: // one is waiting already
		}
	}
	lost := func(err error) {
		select {
		case <-out: // this one counts more
		default:
		}
		tell(fmt.Errorf("events were lost: %w", err))
	}
	addresses, routes := make(chan netlink.AddrUpdate), make(chan netlink.RouteUpdate)
	errAddresses := netlink.AddrSubscribeWithOptions(addresses, done, netlink.AddrSubscribeOptions{ErrorCallback: lost})
	if errAddresses == nil {
		readers.Go(func() {
			for event := range addresses {
				if ip, ok := netip.AddrFromSlice(event.LinkAddress.IP); ok && ip.Unmap().IsGlobalUnicast() {
					tell(nil)
				}
			}
		})
	}
	errRoutes := netlink.RouteSubscribeWithOptions(routes, done, netlink.RouteSubscribeOptions{ErrorCallback: lost})
	if errRoutes == nil {
		readers.Go(func() {
			for event := range routes {
				if isDefault(event.Route) {
					tell(nil)
				}
			}
		})
	}
	if err := errors.Join(errAddresses, errRoutes); err != nil {
		stop()
		return nil, nil, fmt.Errorf("watch addresses and routes: %w", err)
	}
	return out, stop, nil
}

// isDefault says that a route leads out of the machine. Those of pods come and go by the dozen.
func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0
}
