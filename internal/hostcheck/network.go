package hostcheck

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/host"
)

// nftables asks for every expression that kube-proxy and the CNI plugins write.
func nftables(Options) Result {
	var missing []string
	err := host.InThrowAway(func() (err error) {
		missing, err = host.MissingNFT([]string{"bitwise", "cmp", "counter", "ct", "dynset", "fib", "immediate", "limit",
			"lookup", "masq", "meta", "nat", "notrack", "numgen", "payload", "reject"})
		return err
	})
	switch {
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
		if config, configErr := kernelConfig(); configErr == nil && config["NF_TABLES"] == "y" || module("nf_tables") {
			return ok("in the kernel (not tried: the emulator passes no netfilter messages)")
		}
		return fail("the kernel has no nf_tables").fix("modprobe nf_tables, or use a kernel with CONFIG_NF_TABLES")
	case err != nil:
		return byConfig(err, "NF_TABLES", "NFT_CT", "NFT_NAT", "NFT_MASQ", "NFT_NUMGEN", "NFT_FIB_IPV4", "NFT_REJECT")
	case len(missing) > 0:
		return fail("the kernel's nf_tables lacks: %s", strings.Join(missing, ", ")).
			fix("install the kernel's extra modules (Ubuntu: linux-modules-extra-$(uname -r)), or use a kernel with CONFIG_NFT_*")
	}
	return ok("all expressions")
}

// link makes an interface of a type where nobody sees it.
func link(kind string, missing Level) func(Options) Result {
	return func(Options) Result {
		err := host.InThrowAway(func() error { return netlink.LinkAdd(newLink(kind)) })
		switch {
		case err == nil:
			return ok("works")
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV):
			r := fail("the kernel has no %s interfaces", kind).
				fix("modprobe %s, or install the kernel's extra modules (Ubuntu: linux-modules-extra-$(uname -r))", kind)
			r.Level = missing
			return r
		}
		r := byConfig(err, map[string]string{"veth": "VETH", "bridge": "BRIDGE", "vxlan": "VXLAN"}[kind])
		if r.Level == Fail {
			r.Level = missing
		}
		return r
	}
}

func newLink(kind string) netlink.Link {
	attrs := netlink.LinkAttrs{Name: "skerry-check"}
	switch kind {
	case "veth":
		return &netlink.Veth{LinkAttrs: attrs, PeerName: "skerry-check2"}
	case "vxlan":
		return &netlink.Vxlan{LinkAttrs: attrs, VxlanId: 1, Port: 8472}
	}
	return &netlink.Bridge{LinkAttrs: attrs}
}

func bridgeFirewall(Options) Result {
	const effect = "a pod would not reach a Service whose pod is on the same node"
	on, supported := host.BridgeNFCall()
	switch {
	case on:
		return ok("br_netfilter is on")
	case supported:
		return ok("br_netfilter is there; the node will turn it on")
	case module("br_netfilter"):
		return warn("br_netfilter is not loaded").fix("modprobe br_netfilter; echo br_netfilter >/etc/modules-load.d/skerry.conf")
	}
	return fail("no br_netfilter: %s", effect).fix("install the kernel's extra modules, or use a kernel with CONFIG_BRIDGE_NETFILTER")
}

// module says whether a module of the running kernel lies on disk.
func module(name string) bool {
	release, err := kernelRelease()
	if err != nil {
		return false
	}
	list, err := os.ReadFile(filepath.Join("/lib/modules", release, "modules.dep"))
	return err == nil && strings.Contains(string(list), "/"+name+".ko")
}

// conntrack is asked after nftables, whose probe makes the kernel load it.
func conntrack(Options) Result {
	if _, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_max"); err != nil {
		if module("nf_conntrack") {
			return ok("a module, loaded when it is needed")
		}
		return fail("the kernel has no connection tracking").fix("modprobe nf_conntrack, or use a kernel with CONFIG_NF_CONNTRACK")
	}
	if !host.ConntrackWritable() {
		return info("its size cannot be set here; the node keeps the host's")
	}
	return ok("size can be set")
}

func forwarding(Options) Result {
	const path = "/proc/sys/net/ipv4/ip_forward"
	text, err := os.ReadFile(path)
	if err != nil {
		return untried(err)
	}
	if strings.TrimSpace(string(text)) == "1" {
		return ok("on")
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fail("off, and cannot be turned on: %v", err).fix("sysctl -w net.ipv4.ip_forward=1 on the host")
	}
	_ = file.Close() // nothing was written
	return ok("off; the node will turn it on")
}

func defaultRoute(Options) Result {
	ips, err := host.NodeIPs()
	if err != nil {
		return warn("%v", err)
	}
	use := ips[0].String()
	if len(ips) > 1 {
		use += ", with IPv6 " + ips[1].String()
	}
	has, err := host.HasDefaultRoute()
	if err != nil {
		return untried(err)
	}
	if !has {
		return warn("none; the node will use %s", use).fix("nothing, on a network of its own; otherwise add a default route or set --node-ip")
	}
	return ok("the node will use %s", use)
}

// port is fine when free, or held by a Skerry that runs already.
func port(addr string) func(Options) Result {
	return func(Options) Result {
		at, err := netip.ParseAddrPort(addr)
		if err != nil {
			return untried(err)
		}
		err = host.PortFree(at)
		if err == nil {
			return ok("free")
		}
		if holder := host.PortHolder(at.Port()); strings.HasPrefix(holder, "skerry") {
			return info("held by %s", holder)
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return untried(err)
		}
		holder := host.PortHolder(at.Port())
		if holder == "" {
			holder = "another program"
		}
		return fail("%s holds it", holder).fix("stop it: %s", portCure(at.Port()))
	}
}

func portCure(port uint16) string {
	switch port {
	case 6443:
		return "if it is another Kubernetes (k3s, kubeadm), uninstall that; or set --https-listen-port"
	case 6444:
		return "or set --lb-server-port"
	}
	return "one host carries one kubelet; if it is another Kubernetes, uninstall that"
}
