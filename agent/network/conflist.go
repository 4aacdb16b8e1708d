package network

import (
	"encoding/json"
	"net/netip"
)

// conflist is the CNI configuration that puts every pod of this node on one bridge. Addresses are handed out in a
// directory below /run: after a reboot no pod holds one.
func conflist(pods []netip.Prefix, mtu int, leases string) ([]byte, error) {
	type object = map[string]any
	var ranges [][]object
	for _, cidr := range pods {
		ranges = append(ranges, []object{{"subnet": cidr.String()}})
	}
	return json.MarshalIndent(object{
		"cniVersion": "1.0.0",
		"name":       "skerry",
		"plugins": []object{
			{
				"type": "bridge", "bridge": Bridge, "mtu": mtu, "isDefaultGateway": true, "hairpinMode": true,
				"ipam": object{"type": "host-local", "ranges": ranges, "dataDir": leases},
			},
			{"type": "portmap", "backend": "nftables", "snat": true, "capabilities": object{"portMappings": true}},
		},
	}, "", "  ")
}
