package kubeproxy

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/fault"
)

func example() Config {
	return Config{Kubeconfig: "/data/kube-proxy.kubeconfig", NodeName: "pi", PodCIDR: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("fd00::/48")}}
}

func TestFlags(t *testing.T) {
	usual := []string{
		"--cluster-cidr=10.42.0.0/16,fd00::/48",
		"--feature-gates=WatchListClient=false",
		"--healthz-bind-address=127.0.0.1:10256",
		"--hostname-override=pi",
		"--kubeconfig=/data/kube-proxy.kubeconfig",
		"--proxy-mode=nftables",
	}
	for name, c := range map[string]struct {
		change  func(*Config)
		further []string // beside the usual ones
	}{
		"a host that allows all":      {func(*Config) {}, nil},
		"OOM scores cannot be set":    {func(c *Config) { c.KeepOOMScore = true }, []string{"--oom-score-adj=0"}},
		"conntrack limits are locked": {func(c *Config) { c.KeepConntrack = true }, []string{"--conntrack-max-per-core=0", "--conntrack-min=0", "--conntrack-tcp-timeout-close-wait=0s", "--conntrack-tcp-timeout-established=0s"}},
		"the user adds one":           {func(c *Config) { c.Extra = []string{"v=4"} }, []string{"--v=4"}},
	} {
		config := example()
		c.change(&config)
		want := slices.Sorted(slices.Values(slices.Concat(usual, c.further)))
		if got := flags(config).Args(); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if _, err := configure(config); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatUpstreamRefuses(t *testing.T) {
	for extra, want := range map[string]string{
		"no-such-flag=1":    "no-such-flag",
		"proxy-mode=abacus": "abacus",
		"cluster-cidr=x":    "x",
	} {
		c := example()
		c.Extra = []string{extra}
		_, err := configure(c)
		var told *fault.Fault
		if !errors.As(err, &told) || !strings.Contains(err.Error(), want) || !strings.Contains(told.Cure(), "kube-proxy-arg") {
			t.Errorf("%s: got %v", extra, err)
		}
	}
}
