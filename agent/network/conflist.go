package network

import (
	"encoding/json"
	"net/netip"
)

// Name is the network's; addresses in use are noted in a directory of that name.
const Name = "skerry"

// conflist is the CNI configuration that puts every pod of this node on one bridge. Addresses are handed out in a
// directory below /run: after a reboot no pod holds one. With asks, the node is asked on that socket about each of them first.
func conflist(pods []netip.Prefix, mtu int, leases, asks string) ([]byte, error) {
	type object = map[string]any
	var ranges [][]object
	for _, cidr := range pods {
		ranges = append(ranges, []object{{"subnet": cidr.String()}})
	}
	ipam := object{"type": "host-local", "ranges": ranges, "dataDir": leases}
	if asks != "" {
		ipam["type"], ipam["socket"] = "skerry-ipam", asks
	}
	return json.MarshalIndent(object{
		"cniVersion": "1.0.0",
		"name":       Name,
		"plugins": []object{
			{
				"type": "bridge", "bridge": Bridge, "mtu": mtu, "isDefaultGateway": true, "hairpinMode": true,
				"ipam": ipam,
			},
			{"type": "portmap", "backend": "nftables", "snat": true, "capabilities": object{"portMappings": true}},
		},
	}, "", "  ")
}
