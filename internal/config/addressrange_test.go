package config_test

import (
	"net/netip"
	"testing"

	"github.com/skerry-io/skerry/internal/config"
)

func TestARangeOfAddresses(t *testing.T) {
	for written, want := range map[string]string{
		"192.0.2.200-192.0.2.220":   "192.0.2.200-192.0.2.220",
		"192.0.2.9":                 "192.0.2.9-192.0.2.9",
		"192.0.2.77/28":             "192.0.2.64-192.0.2.79",
		"2001:db8::10-2001:db8::f0": "2001:db8::10-2001:db8::f0",
		"2001:db8::/120":            "2001:db8::-2001:db8::ff",
		"192.0.2.9-192.0.2.8":       "",
		"192.0.2.9-2001:db8::1":     "",
		"192.0.2.9-":                "",
		"192.0.2":                   "",
		"fe80::1%eth0":              "",
		"":                          "",
	} {
		var r config.AddressRange
		err := r.UnmarshalText([]byte(written))
		if got := r.String(); want != "" && (err != nil || got != want) || want == "" && err == nil {
			t.Errorf("%q: got %s, %v", written, got, err)
		}
	}
}

func TestWhatIsInARange(t *testing.T) {
	var r config.AddressRange
	if err := r.UnmarshalText([]byte("192.0.2.10-192.0.2.20")); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"192.0.2.9": false, "192.0.2.10": true, "192.0.2.20": true, "192.0.2.21": false, "::ffff:c000:20b": false} {
		if r.Contains(netip.MustParseAddr(text)) != want {
			t.Errorf("%s in %s: %t", text, r, !want)
		}
	}
}

func TestPoolsThatCannotBe(t *testing.T) {
	for pool, want := range map[string]string{
		"x":                               `config.yaml:1: servicelb-pool: "x" is not a range of addresses; to cure: write FIRST-LAST or ADDRESS/BITS, for example 192.0.2.200-192.0.2.220`,
		"127.0.0.2":                       "config.yaml:1: servicelb-pool 127.0.0.2-127.0.0.2 holds addresses that another host could not reach; to cure: give addresses of the network that the nodes are in, which nothing else uses",
		"10.43.1.0/24":                    "config.yaml:1: servicelb-pool 10.43.1.0-10.43.1.255 overlaps service-cidr 10.43.0.0/16; to cure: give addresses of the network that the nodes are in, which nothing else uses",
		"192.0.2.9, 192.0.2.8/30":         "config.yaml:1: servicelb-pool 192.0.2.8-192.0.2.11 overlaps 192.0.2.9-192.0.2.9; to cure: write each address once",
		"192.0.2.1]\nnode-ip: [192.0.2.1": "config.yaml:1: servicelb-pool 192.0.2.1-192.0.2.1 holds 192.0.2.1, an address of this node; to cure: leave the addresses of nodes out of it",
	} {
		same(t, newHost(t, map[string]string{"config.yaml": "servicelb-pool: [" + pool + "]"}).problems(), []string{want})
	}
}
