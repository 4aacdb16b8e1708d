package host

import "path/filepath"

// Layout names the places that a node's embedded components use.
type Layout struct {
	Programs        string // unpacked helper programs
	KubeletRoot     string
	ContainerdRoot  string
	ContainerdState string // below /run; the socket lies in it
	Bridge          string // the pod bridge, "cni0"
	PodCgroup       string // "/kubepods"
}

// Footprint lists what the embedded containerd, kubelet, kube-proxy and CNI plugins do to a host. Apply each before
// they start; Apply makes only the directories.
func Footprint(l Layout) []Change {
	return []Change{
		Dir{Path: "/var/log/pods", Tree: true},
		Dir{Path: "/var/log/containers", Tree: true},
		Dir{Path: "/var/lib/cni"},
		Dir{Path: "/var/lib/cni/results", Tree: true}, // libcni's cache
		Dir{Path: l.KubeletRoot, Tree: true},
		Dir{Path: filepath.Dir(l.ContainerdState), Tree: true}, // sockets of a killed process stay
		Dir{Path: l.ContainerdState, Tree: true},
		NFTable{Family: "ip", Name: "kube-proxy"},
		NFTable{Family: "ip6", Name: "kube-proxy"},
		NFTable{Family: "ip", Name: "cni_hostport"}, // portmap
		NFTable{Family: "ip6", Name: "cni_hostport"},
		NFTable{Family: "inet", Name: "cni_plugins_masquerade"}, // bridge, with ipMasq
		Link{Name: l.Bridge, Type: "bridge"},
		Netns{Dir: "/run/netns", Prefix: "cni-", Evidence: []string{
			filepath.Join(l.ContainerdState, "io.containerd.runtime.v2.task/*/*/config.json"),
			filepath.Join(l.ContainerdRoot, "io.containerd.metadata.v1.bolt/meta.db"),
		}},
		Mounts{Under: l.KubeletRoot},
		Mounts{Under: l.ContainerdRoot},
		Mounts{Under: l.ContainerdState},
		Cgroup{Path: l.PodCgroup},
		Cgroup{Path: l.PodCgroup + ".slice"}, // its name where systemd owns the tree
		Processes{Programs: l.Programs, Runtime: l.ContainerdState},
	}
}
