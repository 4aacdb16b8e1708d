package cluster_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/tests/testhost"
)

// throng is how many addresses the Service of that name has.
const throng = 100

// libcs are whose resolvers programs in pods use.
func libcs() []string { return []string{"glibc", "musl"} }

// TestResolvers: in pods of every node, the resolvers of glibc and musl and dig get what Kubernetes promises of names.
func TestResolvers(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no gcc, which makes a program with each C library: scripts/deps build")
	}
	if !exists("/usr/include/x86_64-linux-musl", "/usr/include/aarch64-linux-musl", "/usr/include/arm-linux-musleabihf") {
		t.Skip("no musl to compile against: scripts/deps build")
	}
	c := newCluster(t, "", []string{asking})
	left := c.newAgent(t, "left", nil)
	right := c.newAgent(t, "right", nil)
	world := newZone(t, c.host, c.host.Address()+":53", map[string]string{"www.example.": outsideIP})
	company := newZone(t, left.host, left.host.Address()+":5300", map[string]string{"db.company.example.": "192.0.2.90"})
	for _, h := range c.lab.Hosts() {
		h.Write("/etc/resolv.conf", []byte("nameserver "+c.host.Address()+"\n"))
	}
	// A host may have a resolver of its own, and name no other.
	newZone(t, right.host, "127.0.0.1:53", map[string]string{"www.example.": outsideIP, "right.example.": "192.0.2.91"})
	right.host.Write("/etc/resolv.conf", []byte("nameserver 127.0.0.1\n"))
	c.start(t)
	c.apply(t, "resolvers.yaml")
	c.throng(t)
	for _, name := range c.names() {
		c.create(t, askerOn(name))
	}
	pods := c.podsReady(t, "asker", len(c.names()))

	for _, name := range c.names() {
		t.Run("on "+name, func(t *testing.T) {
			searched(t, c, "asker-"+name)
			records(t, c, "asker-"+name, pods)
			large(t, c, "asker-"+name)
		})
	}
	t.Run("a resolver on the loopback", func(t *testing.T) {
		for _, libc := range libcs() {
			if got := c.lookup(t, "asker-right", libc, "right.example"); got != "192.0.2.91" {
				t.Errorf("%s finds %q", libc, got)
			}
		}
	})
	t.Run("what does not exist is asked once", func(t *testing.T) { rememberedNothing(t, c, world) })
	t.Run("a stub domain", func(t *testing.T) { stubDomain(t, c, company) })
	t.Run("settings with a mistake", func(t *testing.T) { mistaken(t, c) })
	t.Run("without a server", func(t *testing.T) { withoutServer(t, c, left) })
}

func exists(paths ...string) bool {
	return slices.ContainsFunc(paths, func(path string) bool { _, err := os.Stat(path); return err == nil })
}

// askerOn is a pod with the resolvers and a name of its own in the Service each.
func askerOn(node string) *corev1.Pod {
	pod := webOn(node, "asker-"+node, "asker")
	pod.Spec.Containers[0].Image = asking
	pod.Spec.Hostname, pod.Spec.Subdomain = "asker-"+node, "each"
	return pod
}

// throng gives the Service of that name its addresses.
func (c *cluster) throng(t *testing.T) {
	t.Helper()
	var text strings.Builder
	text.WriteString("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: throng, labels: {kubernetes.io/service-name: throng}}\n" +
		"addressType: IPv4\nports: [{port: 80}]\nendpoints:\n")
	for i := range throng {
		fmt.Fprintf(&text, "- addresses: [10.42.250.%d]\n", i+1)
	}
	c.applyText(t, text.String())
}

// lookup asks a resolver in a pod for a name or an address; what it says is sorted and in one line.
func (c *cluster) lookup(t *testing.T, pod, program, name string) string {
	t.Helper()
	out, _ := c.try(t, "kubectl", "exec", pod, "--", "sh", "-c", "/bin/lookup-"+program+" "+name+" || true")
	return inOrder(out)
}

func inOrder(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(lines)
	return strings.Join(lines, " ")
}

// all runs commands in a pod, one after the other, and gives what each says, sorted and in one line.
func (c *cluster) all(t *testing.T, pod string, commands []string) []string {
	t.Helper()
	const end = "-- end --"
	out := c.exec(t, pod, "sh", "-c", strings.Join(commands, "; echo '"+end+"'; "))
	var said []string
	for part := range strings.SplitSeq(out, end) {
		said = append(said, inOrder(part))
	}
	if len(said) != len(commands) {
		t.Fatalf("%d commands say %q", len(commands), said)
	}
	return said
}

// searched: names are found along the pod's search path, and names of the world though that is tried first.
func searched(t *testing.T, c *cluster, pod string) {
	web, till := c.clusterIP(t, "web"), strings.TrimSpace(c.kubectl(t, "get", "service", "-n", "shop", "till", "-o", "jsonpath={.spec.clusterIP}"))
	const nobody = "does not resolve, is not known"
	found := map[string]string{
		"web": web, "web.default": web, "web.default.svc": web, "web.default.svc.cluster.local": web, "WEB.default.svc.cluster.local.": web,
		"till.shop": till, "alias": web, "outside": outsideIP, "www.example": outsideIP, "www.example.": outsideIP,
		web: "web.default.svc.cluster.local", "till": nobody, "nothing": nobody, "nothing.example": nobody, "web.nowhere": nobody,
	}
	names := slices.Sorted(maps.Keys(found))
	for _, libc := range libcs() {
		var commands []string
		for _, name := range names {
			commands = append(commands, "/bin/lookup-"+libc+" "+name)
		}
		for i, got := range c.all(t, pod, commands) {
			want := found[names[i]]
			if got != want && (want != nobody || !strings.Contains(got, " not ")) {
				t.Errorf("%s, %s: %s is %q, want %q", pod, libc, names[i], got, want)
			}
		}
	}
}

// records: dig gets each kind of record.
func records(t *testing.T, c *cluster, pod string, pods []corev1.Pod) {
	const domain = ".default.svc.cluster.local"
	web, first := c.clusterIP(t, "web"), pods[0]
	dashed := strings.ReplaceAll(first.Status.PodIP, ".", "-")
	var each, ports []string
	for _, p := range pods {
		each = append(each, p.Status.PodIP)
		ports = append(ports, fmt.Sprintf("0 %d 8080 %s.each%s.", 100/len(pods), p.Name, domain))
	}
	answers := [][2]string{
		{"web" + domain + " A", web},
		{"+tcp web" + domain + " A", web},
		{"web" + domain + " AAAA", ""},
		{"each" + domain + " A", inOrder(strings.Join(each, "\n"))},
		{first.Name + ".each" + domain + " A", first.Status.PodIP},
		{"_http._tcp.web" + domain + " SRV", "0 100 80 web" + domain + "."},
		{"_talk._udp.web" + domain + " SRV", "0 100 53 web" + domain + "."},
		{"_http._tcp.each" + domain + " SRV", inOrder(strings.Join(ports, "\n"))},
		{"alias" + domain + " CNAME", "web" + domain + "."},
		{"outside" + domain + " A", inOrder(outsideIP + "\nwww.example.")},
		{"-x " + web, "web" + domain + "."},
		{"-x " + first.Status.PodIP, inOrder(dashed + ".web" + domain + ".\n" + first.Name + ".each" + domain + ".")},
		{dashed + ".default.pod.cluster.local A", first.Status.PodIP},
	}
	var commands []string
	for _, a := range answers {
		commands = append(commands, "dig +short +tries=2 +time=3 "+a[0])
	}
	for i, got := range c.all(t, pod, commands) {
		if got != answers[i][1] {
			t.Errorf("%s: dig %s: %q, want %q", pod, answers[i][0], got, answers[i][1])
		}
	}
	out := c.exec(t, pod, "dig", "nothing"+domain)
	if !strings.Contains(out, "status: NXDOMAIN") || !strings.Contains(out, "SOA") || !strings.Contains(out, " aa ") {
		t.Errorf("%s: a name that is not there:\n%s", pod, out)
	}
}

// large: an answer that is larger than a packet says so, and is whole by TCP.
func large(t *testing.T, c *cluster, pod string) {
	const name = "throng.default.svc.cluster.local"
	if out := c.exec(t, pod, "dig", "+noedns", "+ignore", name); !strings.Contains(out, " tc ") {
		t.Errorf("%s: it does not say that the answer is cut:\n%s", pod, out)
	}
	for i, got := range c.all(t, pod, []string{"dig +short " + name, "dig +short +noedns " + name, "dig +short +bufsize=512 " + name}) {
		if count := len(strings.Fields(got)); count != throng {
			t.Errorf("%s: dig number %d gives %d addresses", pod, i+1, count)
		}
	}
	if got := len(strings.Fields(c.lookup(t, pod, "glibc", name))); got != throng {
		t.Errorf("%s: glibc finds %d addresses", pod, got)
	}
	// musl 1.2.3 and older know no TCP, and live with what fits into a packet; at most 48 addresses in any version.
	if got := strings.Fields(c.lookup(t, pod, "musl", name)); len(got) < 10 || net.ParseIP(got[0]) == nil {
		t.Errorf("%s: musl finds %q", pod, got)
	}
}

func rememberedNothing(t *testing.T, c *cluster, world *zone) {
	for range 5 {
		if got := c.lookup(t, "asker-left", "glibc", "never.example."); !strings.Contains(got, "not") {
			t.Errorf("glibc finds %q", got)
		}
	}
	if asked := world.asked("never.example."); asked != 2 { // A and AAAA
		t.Errorf("the resolver of the world was asked %d times", asked)
	}
}

// stubDomain: names of a zone are asked of a server of the users' own, by every node's pods.
func stubDomain(t *testing.T, c *cluster, company *zone) {
	c.customDNS(t, "company.server", "company.example:53 {\n  cache 30\n  forward . "+company.address+"\n}")
	for _, name := range c.names() {
		for _, libc := range libcs() {
			c.eventually(t, libc+" on "+name+" finds the company's database", func() error {
				if got := c.lookup(t, "asker-"+name, libc, "db.company.example"); got != "192.0.2.90" {
					return fmt.Errorf("it says %q", got)
				}
				return nil
			})
		}
		c.customIs(t, name, "in use")
	}
	if got := c.lookup(t, "asker-left", "musl", "www.example"); got != outsideIP {
		t.Errorf("other names: %q", got)
	}
}

// customDNS sets one key of the users' settings.
func (c *cluster) customDNS(t *testing.T, key, text string) {
	t.Helper()
	c.applyText(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns-custom, namespace: kube-system}\ndata:\n  "+key+": |\n    "+
		strings.ReplaceAll(text, "\n", "\n    "))
}

// customIs waits until a node's status says that of the users' settings.
func (c *cluster) customIs(t *testing.T, node, state string) {
	t.Helper()
	on := c.on(node)
	on.statusUntil(t, "the settings are "+state+" on "+node, func(s told) bool {
		row := s.row("dns", "coredns-custom")
		return row.State == state && row.OK == (row.Error == "") && !row.Since.IsZero()
	})
}

// on is a node's host, where its status can be asked.
func (c *cluster) on(name string) *node {
	for _, a := range c.agents {
		if a.name == name {
			return a.node
		}
	}
	return c.node
}

// mistaken: settings with a mistake leave those before at work, and each node says where it is.
func mistaken(t *testing.T, c *cluster) {
	c.customDNS(t, "company.server", "company.example:53 {\n  forward\n}")
	for _, name := range c.names() {
		c.customIs(t, name, "refused")
		if row := c.on(name).status(t).row("dns", "coredns-custom"); !strings.Contains(row.Error, "company.server:2") {
			t.Errorf("%s does not say where: %q", name, row.Error)
		}
		if got := c.lookup(t, "asker-"+name, "glibc", "db.company.example"); got != "192.0.2.90" {
			t.Errorf("%s: the settings before are gone: %q", name, got)
		}
	}
	c.kubectl(t, "delete", "configmap", "-n", "kube-system", "coredns-custom")
	for _, name := range c.names() {
		c.eventually(t, "the company is forgotten on "+name, func() error {
			if got := c.lookup(t, "asker-"+name, "glibc", "db.company.example"); !strings.Contains(got, "not") {
				return fmt.Errorf("it says %q", got)
			}
			return nil
		})
	}
}

// withoutServer: a pod of an agent goes on to resolve names, new connections to their addresses work, and the status says so.
func withoutServer(t *testing.T, c *cluster, left *agent) {
	web := c.clusterIP(t, "web")
	out, err := left.host.Run(t.Context(), "skerry", "crictl", "ps", "-q", "--name", "main")
	if err != nil {
		t.Fatal(err)
	}
	container := strings.TrimSpace(out)
	c.proc.Kill()
	offline := func(s told) bool { return s.row("endpoint", "servers").State == "offline" }
	left.statusUntil(t, "it knows that no server answers", offline)
	for _, libc := range libcs() {
		for name, want := range map[string]string{"web": web, "till.shop": "", web: "web.default.svc.cluster.local"} {
			out, _ := left.host.Run(t.Context(), "skerry", "crictl", "exec", container, "/bin/lookup-"+libc, name)
			if got := inOrder(out); want != "" && got != want || got == "" {
				t.Errorf("%s: %s is %q", libc, name, got)
			}
		}
	}
	c.serve()
	c.apiReady(t)
	left.statusUntil(t, "the server answers again", func(s told) bool { return !offline(s) && s.row("dns", "cluster-names").State == "known" })
}

// zone is a DNS server of the lab that counts.
type zone struct {
	address string
	names   map[string]string

	mu       sync.Mutex // guards question
	question map[string]int
}

// newZone answers at an address of a host for names, each with one address.
func newZone(t *testing.T, h *testhost.Host, address string, names map[string]string) *zone {
	t.Helper()
	z := &zone{address: address, names: names, question: map[string]int{}}
	for _, s := range []*dns.Server{{PacketConn: h.ListenPacket(z.address), Handler: z}, {Listener: h.Listen(z.address), Handler: z}} {
		go func() { _ = s.ActivateAndServe() }()
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return z
}

// ServeDNS answers, with an authority where there is nothing, as resolvers do.
func (z *zone) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	q, m := r.Question[0], new(dns.Msg)
	z.mu.Lock()
	z.question[q.Name]++
	z.mu.Unlock()
	m.SetReply(r)
	address, there := z.names[q.Name]
	switch {
	case there && q.Qtype == dns.TypeA:
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.ParseIP(address)}}
	default:
		m.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: "example.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60}, Ns: "ns.example.", Mbox: "root.example.",
			Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 60}}
		if !there {
			m.Rcode = dns.RcodeNameError
		}
	}
	_ = w.WriteMsg(m)
}

func (z *zone) asked(name string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.question[name]
}
