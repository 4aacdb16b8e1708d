package testhost

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Snapshot is what a program can change on a host, one line each: links, addresses, routes, rules, nftables tables, mounts,
// cgroups, sysctls, processes and private files. Sysctls that the whole machine shares are in it only while there is no other
// host, in this lab or another: with several it cannot be told which of them made a change.
type Snapshot []string

// Snapshot takes the host's state.
func (h *Host) Snapshot() Snapshot {
	h.lab.t.Helper()
	var s Snapshot
	h.lab.must(onOwnThread(func() error {
		if err := h.power.net.enter(); err != nil {
			return err
		}
		return s.network()
	}), "look at the network of "+h.name)
	if len(h.lab.hosts) == 1 && h.lab.alone() {
		s.sysctls(machineSysctls())
	}
	h.lab.must(s.mounts(h.Pid()), "look at the mounts of "+h.name)
	for _, dir := range append(h.power.groups.v1, h.power.groups.v2) {
		s.cgroups(dir)
	}
	for _, p := range h.Processes() {
		_, line, _ := strings.Cut(p, " ")
		s.add("process %s", line)
	}
	for _, dir := range append(privateFolders(), "/run", "/dev/shm") {
		s.files(h.Root(), dir)
	}
	slices.Sort(s)
	return slices.Compact(s)
}

// Since lists what changed from an earlier snapshot to this one: "+ line" is new, "- line" is gone.
func (s Snapshot) Since(before Snapshot) []string {
	var changes []string
	for _, line := range s {
		if _, known := slices.BinarySearch(before, line); !known {
			changes = append(changes, "+ "+line)
		}
	}
	for _, line := range before {
		if _, kept := slices.BinarySearch(s, line); !kept {
			changes = append(changes, "- "+line)
		}
	}
	return changes
}

func (s *Snapshot) add(format string, args ...any) { *s = append(*s, fmt.Sprintf(format, args...)) }

// network reads the calling thread's network namespace.
func (s *Snapshot) network() error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	for _, l := range links {
		s.add("link %s %s %s", l.Attrs().Name, l.Type(), l.Attrs().OperState)
		addrs, err := netlink.AddrList(l, netlink.FAMILY_V4)
		if err != nil {
			return fmt.Errorf("list addresses: %w", err)
		}
		for _, a := range addrs {
			s.add("address %s", a)
		}
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		s.add("route %s", r)
	}
	rules, err := netlink.RuleList(netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list rules: %w", err)
	}
	for _, r := range rules {
		s.add("rule %s", r)
	}
	s.networkSysctls()
	return s.nftables()
}

func (s *Snapshot) nftables() error {
	const getTable, attrName = 1, 1 // NFT_MSG_GETTABLE, NFTA_TABLE_NAME
	request := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|getTable, unix.NLM_F_DUMP)
	request.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
	tables, err := request.Execute(unix.NETLINK_NETFILTER, 0)
	if err != nil {
		return fmt.Errorf("list nftables tables: %w", err)
	}
	for _, m := range tables {
		family := m[0]
		attrs, err := nl.ParseRouteAttr(m[nl.SizeofNfgenmsg:])
		if err != nil {
			return fmt.Errorf("read an nftables table: %w", err)
		}
		for _, a := range attrs {
			if a.Attr.Type == attrName {
				s.add("nftables family %d table %s", family, strings.TrimRight(string(a.Value), "\x00"))
			}
		}
	}
	return nil
}

func (s *Snapshot) sysctls(keys []string) {
	for _, key := range keys {
		s.sysctl("/proc/sys/" + key)
	}
}

// networkSysctls are the calling thread's network namespace's.
func (s *Snapshot) networkSysctls() {
	for _, area := range []string{"core", "ipv4", "ipv6", "bridge", "netfilter"} {
		_ = filepath.WalkDir("/proc/thread-self/root/proc/sys/net/"+area, func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil: // an area that this kernel does not have
			case e.IsDir() && perLink(path):
				return filepath.SkipDir
			case !e.IsDir() && !strings.Contains(path, "count"):
				s.sysctl(path)
			}
			return nil
		})
	}
}

// perLink folders come and go with links.
func perLink(path string) bool {
	parent, name := filepath.Base(filepath.Dir(path)), filepath.Base(path)
	return (parent == "conf" || parent == "neigh") && name != "all" && name != "default"
}

func (s *Snapshot) sysctl(path string) {
	value, err := os.ReadFile(path)
	if err != nil {
		return // write-only ones
	}
	_, key, _ := strings.Cut(path, "/proc/sys/")
	s.add("sysctl %s = %s", key, strings.TrimSpace(string(value)))
}

func (s *Snapshot) mounts(pid int) error {
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return fmt.Errorf("read the mount table: %w", err)
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 4 {
			s.add("mount %s", f[4])
		}
	}
	return nil
}

func (s *Snapshot) cgroups(top string) {
	_ = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && top != "" {
			s.add("cgroup %s", strings.TrimPrefix(path, cgroupRoot))
		}
		return nil
	})
}

func (s *Snapshot) files(root, dir string) {
	_ = filepath.WalkDir(root+dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // went away meanwhile
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		s.add("file %s %s %s", strings.TrimPrefix(path, root), info.Mode(), digest(path, info))
		return nil
	})
}

// digest tells one content from another; for large files the size has to do.
func digest(path string, info fs.FileInfo) string {
	if !info.Mode().IsRegular() {
		return ""
	}
	if info.Size() > 1<<20 {
		return fmt.Sprintf("%d bytes", info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}
