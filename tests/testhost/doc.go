// Package testhost makes hosts for tests out of Linux namespaces: seconds instead of minutes, no virtual machine,
// no registry and no way out to the real network.
//
// A host has its own network, mount, process, hostname, IPC and cgroup namespaces, its own /etc, /opt, /root, /run, /tmp,
// /usr/local/bin, /var/lib and /var/log, and the address 10.200.0.N on a bridge that leads nowhere, or one of a home
// network behind a router of its own (BehindNAT). The rest of the file tree is the machine's. A test binary that uses hosts says so in its TestMain, because the hosts' first process is the
// test binary itself:
//
//	func TestMain(m *testing.M) { testhost.Main(m) }
//
//	func TestTwoHosts(t *testing.T) {
//		lab := testhost.New(t)
//		srv := lab.Host("server", testhost.Program("skerry", "../../bin/skerry"))
//		srv.Start("skerry", "server")
//		srv.PowerCycle()
//	}
//
// Owns: everything named skt-*: the hosts, their bridge, routers, cgroups and files; the machine-wide sysctls while labs are open.
// Does not know: what runs in a host; Kubernetes.
// Promises: when the test ends nothing that it made is left, and machine-wide sysctls are as before once the last of several labs is
// closed, even if the test binary is killed (then the next New tidies up); when the test fails, the logs of everything that ran are kept and the
// test says where. A power cut ends every process at once and keeps the disk; what was written but not synced is kept
// too, because the kernel is the machine's.
// Cannot do: another wall clock for all of a host (time namespaces move only monotonic clocks; so no program of a host may set it; for one
// program there is tests/wallclock), other kernel modules, a lower limit on
// machine-wide resources than the machine has (Inotify uses them up instead).
// Start reading at New, then Lab.Host.
package testhost
