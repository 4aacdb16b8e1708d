package testhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Host is one throw-away machine. It is made switched on.
type Host struct {
	lab      *Lab
	name     string
	hostname string
	number   int
	env      []string

	memory       int64
	diskSize     int64
	address      netip.Prefix // on eth0
	address6     netip.Prefix // the zero value: none
	router       *router      // nil unless the host is behind one
	defaultRoute bool
	blackholes   []string
	programs     map[string]string
	readOnly     []string

	power *power // nil while switched off
	procs []*Proc
}

// power is what exists only while the host is on.
type power struct {
	init     *exec.Cmd
	ended    chan struct{}
	lifeline *os.File // PID 1 ends, and the whole host with it, when this end closes
	groups   *groups
	inside   namespaces
	net      namespaces
}

// Host makes a host and boots it. Its address is 10.200.0.(10+N) for the Nth host, unless an option says otherwise.
func (l *Lab) Host(name string, options ...Option) *Host {
	l.t.Helper()
	h := &Host{
		lab: l, name: name, hostname: name, number: len(l.hosts) + 1,
		defaultRoute: true, blackholes: []string{"10.42.0.0/16", "10.43.0.0/16"},
		programs: map[string]string{},
	}
	h.address = l.net.address(h.number)
	for _, o := range options {
		o(h)
	}
	l.hosts = append(l.hosts, h)
	l.must(h.makeDisk(), "make the disk of "+name)
	h.Boot()
	return h
}

// Name is what the test calls the host; the hostname is the same unless given.
func (h *Host) Name() string { return h.name }

// Address is the host's IPv4 address: on the bridge, or in the network of its own router.
func (h *Host) Address() string { return h.address.Addr().String() }

// Up says whether the host is switched on.
func (h *Host) Up() bool { return h.power != nil }

// Pid is the number of the host's first process as the machine sees it.
func (h *Host) Pid() int { return h.power.init.Process.Pid }

// Boot switches the host on: its disk as it was left, network and cgroups fresh.
func (h *Host) Boot() {
	h.lab.t.Helper()
	if h.Up() {
		h.lab.t.Fatalf("host %s is on already", h.name)
	}
	h.lab.must(h.boot(), "boot host "+h.name)
}

// PowerCut kills every process of the host at once and keeps its disk.
func (h *Host) PowerCut() {
	h.lab.t.Helper()
	if !h.Up() {
		h.lab.t.Fatalf("host %s is off already", h.name)
	}
	h.lab.must(h.cut(), "cut the power of host "+h.name)
}

// PowerCycle is a power cut and a boot.
func (h *Host) PowerCycle() {
	h.lab.t.Helper()
	h.PowerCut()
	h.Boot()
}

func (h *Host) boot() error {
	p := &power{ended: make(chan struct{})}
	var err error
	if p.groups, err = makeGroups(h.lab.id, h.name, h.memory); err != nil {
		return err
	}
	if err := h.startInit(p); err != nil {
		return err
	}
	if p.inside, err = openNamespaces(p.init.Process.Pid, "net", "uts", "ipc", "cgroup", "pid", "mnt"); err != nil {
		return err
	}
	if p.net, err = openNamespaces(p.init.Process.Pid, "net"); err != nil {
		return err
	}
	h.power = p
	return h.connect()
}

// startInit starts PID 1 and waits until it has built the host's mounts.
func (h *Host) startInit(p *power) error {
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer readyRead.Close()
	defer readyWrite.Close()
	lifeRead, lifeWrite, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer lifeRead.Close()
	plan, err := json.Marshal(h.plan())
	if err != nil {
		return fmt.Errorf("encode the plan: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the test binary: %w", err)
	}
	p.lifeline = lifeWrite
	p.init = &exec.Cmd{
		Path: self, Args: []string{initName, buildStage, string(plan)}, Dir: "/",
		ExtraFiles: []*os.File{readyWrite, lifeRead},
	}
	if err := p.start(p.init, unix.CLONE_NEWNS|unix.CLONE_NEWPID|unix.CLONE_NEWUTS|unix.CLONE_NEWIPC|unix.CLONE_NEWNET, nil); err != nil {
		return fmt.Errorf("start PID 1: %w", err)
	}
	go func() {
		_ = p.init.Wait() // always "killed"
		close(p.ended)
	}()
	readyWrite.Close()
	answer, err := io.ReadAll(readyRead)
	if err != nil || string(answer) != upAnswer {
		return errors.Join(fmt.Errorf("PID 1 says %q", answer), err)
	}
	return nil
}

func (h *Host) cut() error {
	p := h.power
	h.power = nil
	_ = p.init.Process.Kill()
	<-p.ended
	for _, proc := range h.procs {
		<-proc.done
	}
	h.procs = nil
	_ = p.lifeline.Close()
	p.inside.close()
	p.net.close()
	return errors.Join(h.disconnect(), removeGroups(filepath.Join(h.lab.id, h.name)))
}

// plan tells PID 1 what to build.
func (h *Host) plan() initPlan {
	v1, v2 := hierarchies()
	plan := initPlan{
		Hostname: h.hostname, Disk: h.disk(), Programs: h.programs, ReadOnly: h.readOnly,
		V2: v2 != "", OnlyV2: onlyV2(),
	}
	for _, dir := range v1 {
		plan.V1 = append(plan.V1, filepath.Base(dir))
	}
	return plan
}

func (h *Host) disk() string { return filepath.Join(h.lab.dir, h.name) }

// privateFolders are the host's own; everything else is the machine's.
func privateFolders() []string {
	return []string{"/etc", "/opt", "/root", "/usr/local/bin", "/var/lib", "/var/log", "/tmp"}
}

func (h *Host) makeDisk() error {
	for _, dir := range privateFolders() {
		if err := os.MkdirAll(filepath.Join(h.disk(), dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(h.disk(), "tmp"), 0o777|os.ModeSticky); err != nil {
		return err
	}
	if h.diskSize > 0 {
		size := fmt.Sprintf("size=%d,mode=755", h.diskSize)
		if err := unix.Mount("skt-disk", filepath.Join(h.disk(), "var/lib"), "tmpfs", 0, size); err != nil {
			return fmt.Errorf("mount a disk of its own: %w", err)
		}
	}
	for name := range h.programs {
		if err := os.WriteFile(filepath.Join(h.disk(), "usr/local/bin", name), nil, 0o755); err != nil {
			return err
		}
	}
	return h.makeEtc()
}

// makeEtc copies the machine's /etc and takes out what makes one machine differ from another.
func (h *Host) makeEtc() error {
	etc := filepath.Join(h.disk(), "etc")
	if out, err := exec.Command("cp", "-a", "/etc/.", etc).CombinedOutput(); err != nil {
		return fmt.Errorf("copy /etc: %w: %s", err, out)
	}
	for _, name := range []string{"cni", "containerd", "docker", "kubernetes", "rancher", "skerry", "resolv.conf", "machine-id", "hostname", "hosts"} {
		if err := os.RemoveAll(filepath.Join(etc, name)); err != nil {
			return err
		}
	}
	files := map[string]string{
		"resolv.conf": "nameserver 10.200.0.1\n",
		"machine-id":  machineID(h.lab.id, h.number) + "\n",
	}
	maps.Copy(files, h.named())
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// named are the files of /etc that say how the host is called.
func (h *Host) named() map[string]string {
	return map[string]string{
		"hostname": h.hostname + "\n",
		"hosts":    fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", h.Address(), h.hostname),
	}
}

// Rename gives the host another hostname, from its next boot on.
func (h *Host) Rename(hostname string) {
	h.lab.t.Helper()
	h.hostname = hostname
	for name, text := range h.named() {
		h.Write("/etc/"+name, []byte(text))
	}
}

// machineID is 32 hexadecimal digits, another one for each host.
func machineID(lab string, number int) string {
	digits := strings.TrimPrefix(lab, "skt-") + fmt.Sprintf("%02x", number)
	return digits + strings.Repeat("0", 32-len(digits))
}

// Path is where the machine sees a file of the host, whether it is on or off (off: private folders only).
func (h *Host) Path(path string) string {
	if h.Up() {
		return h.Root() + path
	}
	return filepath.Join(h.disk(), path)
}

// Root is the host's root folder as the machine sees it.
func (h *Host) Root() string { return fmt.Sprintf("/proc/%d/root", h.Pid()) }

// Write puts a file on the host's disk, with its folders.
func (h *Host) Write(path string, data []byte) {
	h.lab.t.Helper()
	h.lab.must(os.MkdirAll(filepath.Dir(h.Path(path)), 0o755), "make the folder of "+path)
	h.lab.must(os.WriteFile(h.Path(path), data, 0o644), "write "+path)
}

// Read returns a file of the host.
func (h *Host) Read(path string) ([]byte, error) { return os.ReadFile(h.Path(path)) }

// Eventually is Eventually with the host's name in the message.
func (h *Host) Eventually(timeout time.Duration, what string, check func() error) {
	h.lab.t.Helper()
	Eventually(h.lab.t, timeout, h.name+": "+what, check)
}
