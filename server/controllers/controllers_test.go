package controllers

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/server/pki"
)

func example(t *testing.T) (Config, *pki.PKI) {
	t.Helper()
	p, err := pki.Open(t.TempDir(), pki.Names{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Kubeconfig:  "/data/controllers.kubeconfig",
		PodCIDR:     []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("fd00:42::/56")},
		ServiceCIDR: []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16"), netip.MustParsePrefix("fd00:43::/112")},
	}, p
}

func TestUpstreamTakesTheFlags(t *testing.T) {
	c, p := example(t)
	c.Extra = []string{"terminated-pod-gc-threshold=7"}
	o, err := configure(c, p)
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]any{
		"pods":              {o.KubeCloudShared.ClusterCIDR, "10.42.0.0/16,fd00:42::/56"},
		"services":          {o.NodeIPAMController.ServiceCIDR, "10.43.0.0/16,fd00:43::/112"},
		"ranges for nodes":  {o.KubeCloudShared.AllocateNodeCIDRs, true},
		"election":          {o.Generic.LeaderElection.LeaderElect, false},
		"port":              {o.SecureServing.BindPort, 0},
		"the user's":        {o.PodGCController.TerminatedPodGCThreshold, int32(7)},
		"credentials":       {o.KubeCloudShared.UseServiceAccountCredentials, true},
		"service account":   {o.SAController.ServiceAccountKeyFile, p.ServiceAccountKeyFile()},
		"root for pods":     {o.SAController.RootCAFile, p.Authority("server-ca").CertFile()},
		"kubelets' clients": {o.CSRSigningController.KubeletClientSignerConfiguration.KeyFile, p.Authority("client-ca").KeyFile()},
		"kubelets' serving": {o.CSRSigningController.KubeletServingSignerConfiguration.KeyFile, p.Authority("server-ca").KeyFile()},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
}

// A file that is named in the flags and does not exist would be noticed only when a controller starts.
func TestTheFilesInTheFlagsExist(t *testing.T) {
	c, p := example(t)
	for name, value := range flags(c, p) {
		if !strings.HasSuffix(name, "-file") {
			continue
		}
		if _, err := os.Stat(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatUpstreamRefuses(t *testing.T) {
	for extra, want := range map[string]string{"no-such-flag=1": "no-such-flag", "controllers=nosuch": "nosuch", "concurrent-gc-syncs=x": "concurrent-gc-syncs"} {
		c, p := example(t)
		c.Extra = []string{extra}
		_, err := configure(c, p)
		var told *fault.Fault
		if !errors.As(err, &told) || !strings.Contains(err.Error(), want) || !strings.Contains(told.Cure(), setting) {
			t.Errorf("%s: got %v", extra, err)
		}
	}
}
