package overlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Watch calls changed whenever the kernel lost something that a backend made, or an interface went up or away, until ctx
// ends. changed must not block.
func Watch(ctx context.Context, changed func()) error {
	done := make(chan struct{})
	var wait sync.WaitGroup
	defer wait.Wait()
	defer close(done)

	ended := make(chan error, 2)
	links, routes := make(chan netlink.LinkUpdate), make(chan netlink.RouteUpdate)
	end := func(err error) {
		select {
		case ended <- err:
		default:
		}
	}
	if err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{ErrorCallback: end}); err != nil {
		return fmt.Errorf("watch interfaces: %w", err)
	}
	wait.Go(func() {
		up := map[int]bool{}
		for event := range links {
			index, now := int(event.Index), event.Attrs().Flags&net.FlagRunning != 0
			if event.Header.Type == unix.RTM_DELLINK {
				delete(up, index)
				if !podEnd(event.Link) {
					changed()
				}
				continue
			}
			if was, known := up[index]; (!known || was != now) && !podEnd(event.Link) {
				changed()
			}
			up[index] = now
		}
	})
	if err := netlink.RouteSubscribeWithOptions(routes, done, netlink.RouteSubscribeOptions{ErrorCallback: end}); err != nil {
		return fmt.Errorf("watch routes: %w", err)
	}
	wait.Go(func() {
		for event := range routes {
			if event.Type == unix.RTM_DELROUTE && event.Protocol == routeProtocol {
				changed()
			}
		}
	})
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		changed() // what was missed is looked for
		return errors.Join(errors.New("the kernel's events were lost"), err)
	}
}

// podEnd tells the many interfaces that come and go with pods.
func podEnd(link netlink.Link) bool {
	return link.Type() == "veth" && strings.HasPrefix(link.Attrs().Name, "veth")
}
