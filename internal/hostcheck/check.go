package hostcheck

import (
	"github.com/skerry-io/skerry/internal/fault"
)

// Options is what the checks depend on besides the host.
type Options struct {
	DataDir  string
	NodeName string // empty: the name of the host
}

// check is one row of the table: a name, and a function that looks.
type check struct {
	name string
	look func(Options) Result
}

// checks is the table, in the order of printing.
func checks() []check {
	return []check{
		{"kernel", kernelVersion},
		{"privileges", privileges},
		{"cgroups", cgroups},
		{"namespaces", namespaces},
		{"overlayfs", overlay},
		{"seccomp", seccomp},
		{"security modules", securityModules},
		{"mount propagation", propagation},
		{"nftables", nftables},
		{"veth", link("veth", Fail)},
		{"bridge", link("bridge", Fail)},
		{"vxlan", link("vxlan", Warn)},
		{"bridge firewall", bridgeFirewall},
		{"conntrack", conntrack},
		{"ip forwarding", forwarding},
		{"default route", defaultRoute},
		{"port 6443", port("0.0.0.0:6443")},
		{"port 6444", port("127.0.0.1:6444")},
		{"port 10250", port("0.0.0.0:10250")},
		{"node name", nodeName},
		{"clock", clock},
		{"disk", disk},
		{"swap", swap},
		{"inotify", inotify},
		{"open files", openFiles},
		{"other runtimes", otherRuntimes},
	}
}

// Run makes every check.
func Run(o Options) []Result {
	var results []Result
	for _, c := range checks() {
		results = append(results, c.run(o))
	}
	return results
}

// run turns a panic into a finding: an odd kernel or an emulator must not hide the checks behind it.
func (c check) run(o Options) (r Result) {
	err := func() (err error) {
		defer fault.Recover(&err)
		r = c.look(o)
		return nil
	}()
	if err != nil {
		r = untried(err)
	}
	r.Name = c.name
	return r
}
