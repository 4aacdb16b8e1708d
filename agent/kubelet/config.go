package kubelet

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet/apis/config"

	"github.com/skerry-io/skerry/internal/component"
)

// Config is what the kubelet needs to know.
type Config struct {
	Root          string // of its own state
	Kubeconfig    string
	Runtime       string // CRI socket as a URL
	StaticPods    string // directory
	ServingCert   string
	ServingKey    string
	ClientCA      string
	ResolvConf    string
	NodeName      string
	NodeIPs       []netip.Addr
	Labels        map[string]string
	Taints        []core.Taint
	ProviderID    string // of the Node, unless the user's flags name a cloud provider
	KeepAddresses bool   // the Node has addresses that the kubelet does not know of, and shall leave
	ClusterDNS    []netip.Addr
	ClusterDomain string
	SystemdCgroup bool
	Shutdown      bool // systemd-logind is there to announce a shutdown
	KeepOOMScore  bool // this process may not lower an OOM score
	ProtectKernel bool
	Extra         []string // the user's flags
	// Controllers closes when controllers in the same process are built; nil where there are none.
	Controllers <-chan struct{}
}

// report is how often the whole Node is told when nothing in it changes: 16 kB, of which other nodes hear, too. The lease says
// that it lives.
const report = time.Hour

// How long a shutdown of the host waits for pods, and how much of it belongs to critical ones.
const (
	shutdownGrace         = 30 * time.Second
	shutdownGraceCritical = 10 * time.Second
)

// fill sets the flags that have no place in the configuration file.
func (c Config) fill(f *options.KubeletFlags) {
	f.RootDirectory = c.Root
	f.CertDirectory = c.Root + "/pki"
	f.KubeConfig = c.Kubeconfig
	f.HostnameOverride = c.NodeName
	f.NodeIP = component.List(c.NodeIPs)
	f.NodeLabels = c.Labels
	if c.KeepAddresses {
		f.CloudProvider = "external" // all it does without a cloud: addresses that are there stay, and a taint that the server lifts
	}
}

// provider says whose the Node is: ours, unless the user's flags have another cloud provider look after it.
func (c Config) provider() string {
	for _, flag := range c.Extra {
		if name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "="); name == "cloud-provider" {
			return ""
		}
	}
	return c.ProviderID
}

// plainLists is a gate of the whole process, see the API server's flags.
const plainLists = "WatchListClient=false"

// PlainLists closes that gate for clients that begin before the kubelet has read its flags: a watch that streams its first list
// cannot do without reports each minute that it is quiet.
func PlainLists() error { return utilfeature.DefaultMutableFeatureGate.Set(plainLists) }

// flags are what the user's flags of the same name are added to.
func (c Config) flags() component.Flags {
	gates := component.Flags{"feature-gates": plainLists}
	return gates.With(c.Extra)
}

// apply sets what differs from the kubelet's own defaults.
func (c Config) apply(k *config.KubeletConfiguration) {
	k.StaticPodPath = c.StaticPods
	k.VolumePluginDir = c.Root + "/volume-plugins" // the default lies in /usr, which may be read-only
	k.ContainerRuntimeEndpoint = c.Runtime
	k.ResolverConfig = c.ResolvConf
	k.RegisterWithTaints = c.Taints
	k.ProviderID = c.provider()

	if slices.ContainsFunc(c.NodeIPs, netip.Addr.Is6) {
		k.Address = "::" // both families; the default listens on IPv4 only
	}
	k.TLSCertFile, k.TLSPrivateKeyFile = c.ServingCert, c.ServingKey
	k.RotateCertificates = false // the agent renews them
	k.Authentication.Anonymous.Enabled = false
	k.Authentication.Webhook.Enabled = true
	k.Authentication.X509.ClientCAFile = c.ClientCA
	k.Authorization.Mode = config.KubeletAuthorizationModeWebhook

	k.ClusterDomain = c.ClusterDomain
	for _, ip := range c.ClusterDNS {
		k.ClusterDNS = append(k.ClusterDNS, ip.String())
	}

	k.CgroupDriver = "cgroupfs"
	if c.SystemdCgroup {
		k.CgroupDriver = "systemd"
	}
	k.CgroupRoot = "/"
	k.FailCgroupV1 = false // old boards still have it
	k.FailSwapOn = false
	k.ProtectKernelDefaults = c.ProtectKernel
	k.MakeIPTablesUtilChains = false // nftables is the only packet tool here

	// A board's disk is small: a tenth of it free, as upstream wants, is gigabytes lost.
	k.EvictionHard = map[string]string{"memory.available": "100Mi", "nodefs.available": "5%", "nodefs.inodesFree": "5%", "imagefs.available": "5%"}
	k.EvictionMinimumReclaim = map[string]string{"nodefs.available": "10%", "imagefs.available": "10%"}
	k.SerializeImagePulls = false
	k.NodeStatusReportFrequency.Duration = report
	if c.KeepOOMScore {
		k.OOMScoreAdj = 0 // it would try, and complain, every five minutes
	}
	if c.Shutdown {
		k.ShutdownGracePeriod.Duration = shutdownGrace
		k.ShutdownGracePeriodCriticalPods.Duration = shutdownGraceCritical
	}
}
