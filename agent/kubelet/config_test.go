package kubelet

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
	"k8s.io/kubernetes/cmd/kubelet/app/options"

	"github.com/skerry-io/skerry/internal/fault"
)

func example() Config {
	return Config{
		Root: "/var/lib/kubelet", Kubeconfig: "/data/kubelet.kubeconfig", Runtime: "unix:///run/skerry/containerd/containerd.sock", StaticPods: "/data/pod-manifests",
		ServingCert: "/data/serving.crt", ServingKey: "/data/node.key", ClientCA: "/data/client-ca.crt", ResolvConf: "/etc/resolv.conf", NodeName: "pi",
		NodeIPs: []netip.Addr{netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("fd00::9")}, Labels: map[string]string{"disk": "ssd"},
		Taints:     []core.Taint{{Key: "edge", Effect: core.TaintEffectNoSchedule}},
		ClusterDNS: []netip.Addr{netip.MustParseAddr("10.43.0.10")}, ClusterDomain: "cluster.local",
	}
}

func mustConfigure(t *testing.T, c Config) *options.KubeletServer {
	t.Helper()
	server, err := configure(c)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func TestUpstreamTakesTheConfiguration(t *testing.T) {
	s := mustConfigure(t, example())
	for name, pair := range map[string][2]any{
		"the node's name":      {s.HostnameOverride, "pi"},
		"the node's addresses": {s.NodeIP, "10.0.0.9,fd00::9"},
		"labels":               {s.NodeLabels, map[string]string{"disk": "ssd"}},
		"taints":               {s.RegisterWithTaints, []core.Taint{{Key: "edge", Effect: core.TaintEffectNoSchedule}}},
		"the kubeconfig":       {s.KubeConfig, "/data/kubelet.kubeconfig"},
		"the runtime":          {s.ContainerRuntimeEndpoint, "unix:///run/skerry/containerd/containerd.sock"},
		"static pods":          {s.StaticPodPath, "/data/pod-manifests"},
		"the cluster's DNS":    {s.ClusterDNS, []string{"10.43.0.10"}},
		"the cluster's domain": {s.ClusterDomain, "cluster.local"},
		"resolv.conf":          {s.ResolverConfig, "/etc/resolv.conf"},
		"who may call":         {[]any{s.Authentication.X509.ClientCAFile, s.Authentication.Anonymous.Enabled}, []any{"/data/client-ca.crt", false}},
		"what they may do":     {string(s.Authorization.Mode), "Webhook"},
		"the certificate":      {[]string{s.TLSCertFile, s.TLSPrivateKeyFile}, []string{"/data/serving.crt", "/data/node.key"}},
		"state":                {[]string{s.RootDirectory, s.CertDirectory, s.VolumePluginDir}, []string{"/var/lib/kubelet", "/var/lib/kubelet/pki", "/var/lib/kubelet/volume-plugins"}},
		"the cgroup driver":    {s.CgroupDriver, "cgroupfs"},
		"no iptables":          {s.MakeIPTablesUtilChains, false},
		"a shutdown":           {s.ShutdownGracePeriod.Duration, time.Duration(0)},
		"OOM scores":           {s.OOMScoreAdj, int32(-999)},
		"the one gate":         {s.FeatureGates, map[string]bool{"WatchListClient": false}},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
}

func TestWhoLooksAfterTheNode(t *testing.T) {
	for name, test := range map[string]struct {
		keep               bool
		extra              []string
		provider, external string
	}{
		"nobody else": {false, nil, "skerry://pi", ""},
		"the node itself, for external addresses":    {true, nil, "skerry://pi", "external"},
		"the user's cloud controller":                {false, []string{"cloud-provider=external"}, "", "external"},
		"the user's cloud controller, whatever":      {true, []string{"--cloud-provider=external"}, "", "external"},
		"the user knows the provider's own ID":       {false, []string{"provider-id=rack://7"}, "rack://7", ""},
		"the user knows it, and the cloud is theirs": {true, []string{"provider-id=rack://7", "cloud-provider=external"}, "rack://7", "external"},
	} {
		c := example()
		c.ProviderID, c.KeepAddresses, c.Extra = "skerry://pi", test.keep, test.extra
		if s := mustConfigure(t, c); s.ProviderID != test.provider || s.CloudProvider != test.external {
			t.Errorf("%s: got provider ID %q, cloud provider %q", name, s.ProviderID, s.CloudProvider)
		}
	}
}

func TestTheHostDecides(t *testing.T) {
	c := example()
	c.SystemdCgroup, c.Shutdown, c.KeepOOMScore, c.ProtectKernel = true, true, true, true
	s := mustConfigure(t, c)
	if s.CgroupDriver != "systemd" || s.OOMScoreAdj != 0 || !s.ProtectKernelDefaults {
		t.Errorf("got cgroup driver %s, OOM score %d, protect kernel %t", s.CgroupDriver, s.OOMScoreAdj, s.ProtectKernelDefaults)
	}
	if s.ShutdownGracePeriod.Duration != shutdownGrace || s.ShutdownGracePeriodCriticalPods.Duration != shutdownGraceCritical {
		t.Errorf("a shutdown waits %s and %s", s.ShutdownGracePeriod, s.ShutdownGracePeriodCriticalPods)
	}
}

// TestHowANodeSaysThatItLives: by its lease, with the patience that people know; the whole Node costs too much for that.
func TestHowANodeSaysThatItLives(t *testing.T) {
	if s := mustConfigure(t, example()); s.NodeLeaseDurationSeconds != 40 || s.NodeStatusReportFrequency.Duration != time.Hour {
		t.Errorf("a lease is good for %d s, the Node is told every %v", s.NodeLeaseDurationSeconds, s.NodeStatusReportFrequency)
	}
}

func TestTheUsersFlagsWin(t *testing.T) {
	c, gate := example(), anyGate(t)
	c.Extra = []string{"max-pods=42", "feature-gates=" + gate, "--cluster-domain=edge.local", "eviction-hard=memory.available<50Mi"}
	s := mustConfigure(t, c)
	if s.MaxPods != 42 || s.ClusterDomain != "edge.local" {
		t.Errorf("got %d pods, domain %s", s.MaxPods, s.ClusterDomain)
	}
	if on, set := s.FeatureGates["WatchListClient"]; on || !set {
		t.Errorf("a gate of the user's takes ours away: %v", s.FeatureGates)
	}
	name, _, _ := strings.Cut(gate, "=")
	if _, set := s.FeatureGates[name]; !set {
		t.Errorf("the user's gate is lost: %v", s.FeatureGates)
	}
	if want := map[string]string{"memory.available": "50Mi"}; !reflect.DeepEqual(s.EvictionHard, want) {
		t.Errorf("evicts at %v", s.EvictionHard)
	}
}

// anyGate is a gate that may be set, with the value it has: gates are global, and other tests rely on them.
func anyGate(t *testing.T) string {
	t.Helper()
	for name, spec := range utilfeature.DefaultMutableFeatureGate.GetAll() {
		if name != "WatchListClient" && !spec.LockToDefault && spec.PreRelease == featuregate.Beta && !strings.HasPrefix(string(name), "All") {
			return fmt.Sprintf("%s=%t", name, utilfeature.DefaultFeatureGate.Enabled(name))
		}
	}
	t.Skip("every gate is locked")
	return ""
}

// A feature gate that does not exist is refused too, but spoils the global gates for the tests after it.
func TestWhatUpstreamRefuses(t *testing.T) {
	for extra, want := range map[string]string{
		"no-such-flag=1": "no-such-flag",
		"max-pods=many":  "max-pods",
		"max-pods=-1":    "maxPods",
	} {
		c := example()
		c.Extra = []string{extra}
		_, err := configure(c)
		var told *fault.Fault
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &told) || !strings.Contains(told.Cure(), "kubelet-arg") {
			t.Errorf("%s: got %v", extra, err)
		}
	}
}
