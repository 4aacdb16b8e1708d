package network

import (
	"strings"
	"testing"
)

func TestChainsThatDropWhatPodsNeed(t *testing.T) {
	text := `{"nftables":[{"metainfo":{"version":"1.0.6"}},
		{"chain":{"family":"ip","table":"filter","name":"INPUT","type":"filter","hook":"input","prio":0,"policy":"drop"}},
		{"chain":{"family":"ip6","table":"filter","name":"INPUT","type":"filter","hook":"input","prio":0,"policy":"drop"}},
		{"chain":{"family":"inet","table":"firewall","name":"in","type":"filter","hook":"input","prio":0,"policy":"drop"}},
		{"chain":{"family":"ip","table":"filter","name":"OUTPUT","type":"filter","hook":"output","prio":0,"policy":"drop"}},
		{"chain":{"family":"ip","table":"filter","name":"FORWARD","type":"filter","hook":"forward","prio":0,"policy":"drop"}},
		{"chain":{"family":"ip","table":"kube-proxy","name":"filter-forward","type":"filter","hook":"forward","prio":-110,"policy":"accept"}},
		{"chain":{"family":"arp","table":"filter","name":"in","type":"filter","hook":"input","prio":0,"policy":"drop"}},
		{"chain":{"family":"ip","table":"filter","name":"DOCKER-USER"}}]}`
	for pods, want := range map[string]string{
		"10.42.0.0/16": "ip INPUT, inet in, ip FORWARD",
		"fd42::/56":    "ip6 INPUT, inet in",
	} {
		drops, err := dropping([]byte(text), prefixes(pods))
		var got []string
		for _, c := range drops {
			got = append(got, c.Family+" "+c.Name)
		}
		if err != nil || strings.Join(got, ", ") != want {
			t.Errorf("pods in %s: %v, %v", pods, got, err)
		}
	}
	if _, err := dropping([]byte("no json"), nil); err == nil {
		t.Error("a broken answer is no error")
	}
}

func TestTheCureNamesWhatToLetThrough(t *testing.T) {
	for _, c := range []struct {
		chain   chain
		backend string
		wants   []string
	}{
		{chain{Family: "ip", Table: "filter", Name: "FORWARD", Hook: "forward"}, "vxlan", []string{"10.42.0.0/16", "destination", "DOCKER-USER"}},
		{chain{Family: "ip", Table: "filter", Name: "INPUT", Hook: "input"}, "vxlan", []string{"INPUT", "`ufw allow from 10.42.0.0/16`", "UDP port 8472"}},
		{chain{Family: "inet", Table: "x", Name: "in", Hook: "input"}, "wireguard-native", []string{"chain in", "UDP port 51820"}},
		{chain{Family: "inet", Table: "x", Name: "in", Hook: "input"}, "host-gw", []string{"as source in the chain in"}},
	} {
		got := cure(c.chain, prefixes("10.42.0.0/16"), c.backend)
		for _, want := range c.wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s does not say %s", got, want)
			}
		}
	}
}
