package testhost

import "path/filepath"

// Option changes how a host is made.
type Option func(*Host)

// Hostname gives the host another hostname than the name the test knows it by.
func Hostname(name string) Option { return func(h *Host) { h.hostname = name } }

// Memory limits the host and all its processes to so many bytes.
func Memory(bytes int64) Option { return func(h *Host) { h.memory = bytes } }

// NoDefaultRoute leaves the host with the route to its own network only.
func NoDefaultRoute() Option { return func(h *Host) { h.defaultRoute = false } }

// NoBlackholes leaves out the routes that stop pod and service traffic of a broken product from leaving the host. It is
// for tests that look for such traffic with Host.Tap; it still ends at the bridge.
func NoBlackholes() Option { return func(h *Host) { h.blackholes = nil } }

// Disk puts /var/lib on a file system of its own with so many bytes; a full disk is made with it. Overlay mounts work on
// it and it outlives power cuts.
func Disk(bytes int64) Option { return func(h *Host) { h.diskSize = bytes } }

// Program shows the file as /usr/local/bin/NAME, where nothing else is.
func Program(name, file string) Option {
	return func(h *Host) {
		if whole, err := filepath.Abs(file); err == nil {
			file = whole
		}
		h.programs[name] = file
	}
}

// IPv6 gives the host the address fd00:200::(10+N) beside its IPv4 address. It has no effect behind a router.
func IPv6() Option { return func(h *Host) { h.address6 = h.lab.net.address6(h.number) } }

// BehindNAT puts a router between the host and the bridge, as at home: the host is 192.168.77.10, the router's
// outside has the host's place on the bridge (Host.Outside). The host can open connections to others, nobody to it.
func BehindNAT() Option {
	return func(h *Host) {
		h.router = &router{outside: h.address}
		h.address = h.router.inside()
	}
}

// ReadOnly makes a folder or file of the host read-only, for example /proc/sys/net/netfilter.
func ReadOnly(path string) Option { return func(h *Host) { h.readOnly = append(h.readOnly, path) } }

// Env sets an environment variable ("KEY=value") for everything that is started in the host.
func Env(pair string) Option { return func(h *Host) { h.env = append(h.env, pair) } }
