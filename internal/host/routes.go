package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Routes are all routes of the main table that bear a protocol number of ours. An embedded component adds and removes
// them as nodes come and go; Apply only records it.
type Routes struct {
	Protocol int `json:"protocol"`
}

func (r Routes) kind() string { return "routes" }
func (r Routes) id() string   { return fmt.Sprintf("protocol %d", r.Protocol) }
func (r Routes) live() bool   { return true }
func (r Routes) apply() error { return nil }

func (r Routes) before(known json.RawMessage) (json.RawMessage, error) {
	if known != nil {
		return known, nil
	}
	return json.Marshal(presence{})
}

func (r Routes) undo(context.Context, json.RawMessage) (string, error) {
	var failed []error
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		filter := &netlink.Route{Protocol: netlink.RouteProtocol(r.Protocol), Table: unix.RT_TABLE_MAIN}
		list, err := netlink.RouteListFiltered(family, filter, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
		if err != nil {
			return "", fmt.Errorf("list routes: %w", err)
		}
		for _, route := range list {
			if err := netlink.RouteDel(&route); err != nil && !errors.Is(err, unix.ESRCH) {
				failed = append(failed, fmt.Errorf("delete the route to %s: %w", route.Dst, err))
			}
		}
	}
	return "", errors.Join(failed...)
}
