package config

import (
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	kubeletapis "k8s.io/kubelet/pkg/apis"

	"github.com/skerry-io/skerry/internal/fault"
)

// Validate checks the data directory.
func (p Place) Validate() error {
	var problems fault.Problems
	p.validate(&problems)
	return problems.Err()
}

func (p Place) validate(problems *fault.Problems) {
	switch {
	case !filepath.IsAbs(p.DataDir):
		problems.Add("data-dir", "data-dir %q is not an absolute path", p.DataDir).Fix("write it from the root, for example %s", DefaultDataDir)
	case slices.Contains(systemDirs(), p.DataDir):
		problems.Add("data-dir", "data-dir %s belongs to the system", p.DataDir).Fix("give Skerry a directory of its own, for example %s", DefaultDataDir)
	}
}

// systemDirs are directories that nobody means to hand over whole.
func systemDirs() []string {
	return []string{
		"/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/mnt", "/opt", "/proc", "/root", "/run", "/sbin",
		"/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib", EtcDir, RunDir,
	}
}

// Validate checks the settings that every node has.
func (n Node) Validate() error {
	var problems fault.Problems
	n.validate(&problems)
	return problems.Err()
}

func (n Node) validate(p *fault.Problems) {
	n.Place.validate(p)
	n.validateName(p)
	n.validateLabels(p)
	n.validateTaints(p)
	validateNodeIPs("node-ip", n.NodeIP, p)
	validateNodeIPs("node-external-ip", n.NodeExternalIP, p)
	validatePort("lb-server-port", n.LBServerPort, p)
	validateAbs("resolv-conf", n.ResolvConf, p)
	validateAbs("private-registry", n.PrivateRegistry, p)
	validateStorage(n.DefaultLocalStoragePath, p)
	validateArgs("kubelet-arg", n.KubeletArg, p)
	validateArgs("kube-proxy-arg", n.KubeProxyArg, p)
	if e := strings.TrimPrefix(n.ContainerRuntimeEndpoint, "unix://"); e != "" && !filepath.IsAbs(e) {
		p.Add("container-runtime-endpoint", "container-runtime-endpoint %q is not the path of a socket", n.ContainerRuntimeEndpoint).
			Fix("write it from the root, for example /run/containerd/containerd.sock")
	}
	if n.PauseImage == "" || strings.ContainsAny(n.PauseImage, " \t\n") {
		p.Add("pause-image", "pause-image %q is not the name of an image", n.PauseImage).Fix("remove the setting to use the one inside")
	}
}

func (n Node) validateName(p *fault.Problems) {
	if wrong := validation.IsDNS1123Subdomain(n.NodeName); len(wrong) > 0 {
		p.Add("node-name", "%q cannot be the name of a node: letters, digits, - and . only, letters or digits at both ends", n.NodeName).
			Fix("set node-name, or change the host name")
	}
}

func (n Node) validateLabels(p *fault.Problems) {
	for _, label := range n.NodeLabel {
		key, value, found := strings.Cut(label, "=")
		if !found || !validLabel(key, value) {
			p.Add("node-label", "%q is not a label", label).Fix("write KEY=VALUE with letters, digits, -, _ and ., for example disk=ssd")
			continue
		}
		if reservedLabel(key) {
			p.Add("node-label", "a node may not give itself the label %s", key).
				Fix("set it when the node is there: kubectl label node %s %s", n.NodeName, label)
		}
	}
}

func validLabel(key, value string) bool {
	return len(validation.IsQualifiedName(key)) == 0 && len(validation.IsValidLabelValue(value)) == 0
}

// reservedLabel tells the labels for which the kubelet refuses to start.
func reservedLabel(key string) bool {
	namespace, _, found := strings.Cut(key, "/")
	if !found || kubeletapis.IsKubeletLabel(key) {
		return false
	}
	for _, reserved := range []string{"kubernetes.io", "k8s.io"} {
		if namespace == reserved || strings.HasSuffix(namespace, "."+reserved) {
			return true
		}
	}
	return false
}

func (n Node) validateTaints(p *fault.Problems) {
	effects := []string{string(corev1.TaintEffectNoSchedule), string(corev1.TaintEffectPreferNoSchedule), string(corev1.TaintEffectNoExecute)}
	for _, taint := range n.NodeTaint {
		pair, effect, found := strings.Cut(taint, ":")
		key, value, _ := strings.Cut(pair, "=")
		if !found || !validLabel(key, value) || !slices.Contains(effects, effect) {
			p.Add("node-taint", "%q is not a taint", taint).
				Fix("write KEY=VALUE:EFFECT with the effect one of %s", strings.Join(effects, ", "))
		}
	}
}

// validateStorage wants a directory that nothing else lives in: volumes are removed from it.
func validateStorage(path string, p *fault.Problems) {
	const key = "default-local-storage-path"
	validateAbs(key, path, p)
	if path != "" && slices.Contains(systemDirs(), filepath.Clean(path)) {
		p.Add(key, "%s %s belongs to the system", key, path).Fix("give the volumes a directory of their own, for example %s", filepath.Join(filepath.Clean(path), "volumes"))
	}
}

func validateAbs(key, path string, p *fault.Problems) {
	if path != "" && !filepath.IsAbs(path) {
		p.Add(key, "%s %q is not an absolute path", key, path).Fix("write it from the root")
	}
}

// validateArgs wants flag=value: a flag without a value is "flag=true".
func validateArgs(key string, args []string, p *fault.Problems) {
	for _, arg := range args {
		flag, _, found := strings.Cut(arg, "=")
		if !found || strings.TrimSpace(flag) != flag || flag == "" {
			p.Add(key, "%s: %q is not FLAG=VALUE", key, arg).Fix("write the flag and its value, for example v=2")
		}
	}
}

// Validate checks the settings of an agent.
func (a Agent) Validate() error {
	var p fault.Problems
	a.Node.validate(&p)
	validateTaken("lb-server-port", a.LBServerPort, &p)
	if a.Server == "" {
		p.Add("server", "an agent needs the server to join").Fix("set server, for example --server https://10.0.0.1:6443")
	} else {
		validateServer(a.Server, &p)
	}
	if a.Token == "" && a.TokenFile == "" {
		p.Add("token", "an agent needs the token of its cluster").
			Fix("set token or token-file; the server keeps it in %s", a.Paths().TokenFile())
	}
	return p.Err()
}
