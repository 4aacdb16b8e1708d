package network

import "testing"

func TestOnlyChainsThatDropForwardedPacketsCount(t *testing.T) {
	text := `{"nftables":[{"metainfo":{"version":"1.0.6"}},
		{"chain":{"family":"ip","table":"filter","name":"INPUT","type":"filter","hook":"input","prio":0,"policy":"drop"}},
		{"chain":{"family":"ip","table":"filter","name":"FORWARD","type":"filter","hook":"forward","prio":0,"policy":"drop"}},
		{"chain":{"family":"ip","table":"kube-proxy","name":"filter-forward","type":"filter","hook":"forward","prio":-110,"policy":"accept"}},
		{"chain":{"family":"ip","table":"filter","name":"DOCKER-USER"}}]}`
	drops, err := dropping([]byte(text))
	if err != nil || len(drops) != 1 || drops[0].Name != "FORWARD" {
		t.Errorf("got %v, %v", drops, err)
	}
	if _, err := dropping([]byte("no json")); err == nil {
		t.Error("a broken answer is no error")
	}
}
