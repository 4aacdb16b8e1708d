package network

import (
	"bytes"
	"log/slog"
	"os/exec"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/host/nstest"
)

// nft runs the program in the test's own network namespace.
func nft(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("nft", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func needNFT(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs the program nft")
	}
}

func TestMasquerade(t *testing.T) {
	needNFT(t)
	if !nstest.Inside(t) {
		return
	}
	nft(t, "add table inet foreign")
	for range 2 { // a second run changes nothing
		if err := masquerade(t.Context(), prefixes("10.42.0.0/16", "fd00:42::/56")); err != nil {
			t.Fatal(err)
		}
	}
	rules := nft(t, "list", "table", "inet", table)
	for _, want := range []string{
		"type nat hook postrouting priority srcnat",
		"ip saddr 10.42.0.0/16 ip daddr != { 10.42.0.0/16, 224.0.0.0/4 } masquerade fully-random",
		"ip6 saddr fd00:42::/56 ip6 daddr != { fd00:42::/56, ff00::/8 } masquerade fully-random",
	} {
		if strings.Count(rules, want) != 1 {
			t.Errorf("%q does not stand once in\n%s", want, rules)
		}
	}
	if err := masquerade(t.Context(), prefixes("10.99.0.0/16")); err != nil {
		t.Fatal(err)
	}
	if rules := nft(t, "list", "table", "inet", table); strings.Contains(rules, "10.42.") || !strings.Contains(rules, "10.99.0.0/16") {
		t.Errorf("another range does not take the place of the first:\n%s", rules)
	}
	if tables := nft(t, "list", "tables"); tables != "table inet foreign\ntable inet skerry\n" {
		t.Errorf("the tables are %q", tables)
	}
}

func TestAnotherFirewallIsWarnedOf(t *testing.T) {
	needNFT(t)
	if !nstest.Inside(t) {
		return
	}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	if err := warnOfFirewall(t.Context(), prefixes("10.42.0.0/16"), "vxlan", log); err != nil || out.Len() > 0 {
		t.Fatalf("an empty host: %v, %s", err, &out)
	}
	nft(t, "add table ip filter")
	nft(t, "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }")
	if err := warnOfFirewall(t.Context(), prefixes("10.42.0.0/16"), "vxlan", log); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "ip filter FORWARD") || !strings.Contains(got, "10.42.0.0/16") || !strings.Contains(got, "DOCKER-USER") {
		t.Errorf("got %s", got)
	}
	out.Reset()
	nft(t, "delete table ip filter")
	nft(t, "add table inet ufw")
	nft(t, "add chain inet ufw in { type filter hook input priority 0; policy drop; }")
	if err := warnOfFirewall(t.Context(), prefixes("10.42.0.0/16"), "vxlan", log); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "inet ufw in") || !strings.Contains(got, "no DNS") || !strings.Contains(got, "8472") {
		t.Errorf("got %s", got)
	}
}

func TestWithoutNFTTheErrorSaysSo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := masquerade(t.Context(), prefixes("10.42.0.0/16")); err == nil || !strings.Contains(err.Error(), "nft") {
		t.Errorf("got %v", err)
	}
}
