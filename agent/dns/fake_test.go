package dns

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/skerry-io/skerry/internal/run"
)

// Paths of what the node's DNS watches.
const (
	services   = "/api/v1/services"
	slicesPath = "/apis/discovery.k8s.io/v1/endpointslices"
	namespaces = "/api/v1/namespaces"
	configMaps = "/api/v1/namespaces/kube-system/configmaps"
	eventsPath = "/api/v1/namespaces/kube-system/events"
)

// api is an API server as far as the node's DNS needs one.
type api struct {
	*httptest.Server
	kinds map[string][2]string // path: kind of the list, version

	mu       sync.Mutex // guards what follows
	version  int
	objects  map[string]map[string]meta.Object
	watchers map[string][]chan string
	events   []core.Event
}

func newAPI(t testing.TB) *api {
	t.Helper()
	a := &api{objects: map[string]map[string]meta.Object{}, watchers: map[string][]chan string{}, kinds: map[string][2]string{
		services: {"Service", "v1"}, namespaces: {"Namespace", "v1"}, configMaps: {"ConfigMap", "v1"}, slicesPath: {"EndpointSlice", "discovery.k8s.io/v1"},
	}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(func() { a.CloseClientConnections(); a.Close() })
	return a
}

func (a *api) config() *rest.Config {
	return &rest.Config{Host: a.URL, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
}

// put creates or replaces an object.
func (a *api) put(path string, o meta.Object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	o.SetResourceVersion(fmt.Sprint(a.version))
	if a.objects[path] == nil {
		a.objects[path] = map[string]meta.Object{}
	}
	key, kind := o.GetNamespace()+"/"+o.GetName(), watch.Added
	if a.objects[path][key] != nil {
		kind = watch.Modified
	}
	a.objects[path][key] = o
	a.send(path, kind, o)
}

func (a *api) remove(path string, o meta.Object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	delete(a.objects[path], o.GetNamespace()+"/"+o.GetName())
	a.send(path, watch.Deleted, o)
}

func (a *api) send(path string, kind watch.EventType, o meta.Object) {
	for _, to := range a.watchers[path] {
		to <- fmt.Sprintf(`{"type":%q,"object":%s}`, kind, a.text(path, o))
	}
}

func (a *api) text(path string, o meta.Object) string {
	text, _ := json.Marshal(o)
	kind := a.kinds[path]
	return fmt.Sprintf(`{"kind":%q,"apiVersion":%q,%s`, kind[0], kind[1], text[1:])
}

// ServeHTTP lists, watches, and takes events.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	kind, known := a.kinds[r.URL.Path]
	switch {
	case r.Method == http.MethodPost && r.URL.Path == eventsPath:
		var e core.Event
		_ = json.NewDecoder(r.Body).Decode(&e)
		a.mu.Lock()
		a.events = append(a.events, e)
		a.mu.Unlock()
		_, _ = w.Write([]byte(`{"kind":"Event","apiVersion":"v1"}`))
	case !known:
		w.WriteHeader(http.StatusNotFound)
	case r.URL.Query().Get("sendInitialEvents") != "":
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`))
	case r.URL.Query().Get("watch") != "":
		a.watch(w, r)
	default:
		a.mu.Lock()
		defer a.mu.Unlock()
		var items []string
		for _, o := range a.objects[r.URL.Path] {
			items = append(items, a.text(r.URL.Path, o))
		}
		fmt.Fprintf(w, `{"kind":"%sList","apiVersion":%q,"metadata":{"resourceVersion":"%d"},"items":[%s]}`, kind[0], kind[1], a.version, strings.Join(items, ","))
	}
}

func (a *api) watch(w http.ResponseWriter, r *http.Request) {
	to := make(chan string, 100)
	a.mu.Lock()
	a.watchers[r.URL.Path] = append(a.watchers[r.URL.Path], to)
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.watchers[r.URL.Path] = slices.DeleteFunc(a.watchers[r.URL.Path], func(c chan string) bool { return c == to })
	}()
	w.(http.Flusher).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case text := <-to:
			fmt.Fprintln(w, text)
			w.(http.Flusher).Flush()
		}
	}
}

// tell gives the messages of the events so far.
func (a *api) told() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, e := range a.events {
		all = append(all, e.Reason+": "+e.Message)
	}
	return all
}

// node is a node's DNS at work.
type node struct {
	t      *testing.T
	at     netip.AddrPort
	resolv string // the host's file
	log    *lines
	rows   run.Rows
}

// start runs the DNS of a node with the host's file as given.
func start(t *testing.T, a *api, resolv string, change func(*Config)) *node {
	t.Helper()
	packets, stream := sockets(t)
	n := &node{t: t, at: netip.MustParseAddrPort(stream.Addr().String()), resolv: filepath.Join(t.TempDir(), "resolv.conf"), log: &lines{}}
	_, _ = packets.Close(), stream.Close()
	n.write(resolv)
	c := Config{API: a.config(), Node: "pi", Listen: []netip.AddrPort{n.at}, Domain: "cluster.local",
		Own: []netip.Addr{netip.MustParseAddr("10.43.0.10")}, ResolvConf: func() string { return n.resolv }, Rows: &n.rows,
		Log: slog.New(slog.NewTextHandler(n.log, nil))}
	if change != nil {
		change(&c)
	}
	ready := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- Run(t.Context(), c, sync.OnceFunc(func() { close(ready) })) }()
	t.Cleanup(func() { // the test's context has ended
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("it did not stop")
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return n
}

func (n *node) write(resolv string) {
	n.t.Helper()
	if err := os.WriteFile(n.resolv, []byte(resolv), 0o644); err != nil {
		n.t.Fatal(err)
	}
}

// ask gives the answer's records in short, sorted, or its code where there are none.
func (n *node) ask(question string) string {
	n.t.Helper()
	return n.askBy("udp", question)
}

func (n *node) askBy(network, question string) string {
	n.t.Helper()
	kind, name, _ := strings.Cut(question, " ")
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.StringToType[kind])
	c := dns.Client{Net: network, Timeout: 10 * time.Second}
	r, _, err := c.Exchange(m, n.at.String())
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, rr := range r.Answer {
		all = append(all, dns.TypeToString[rr.Header().Rrtype]+" "+strings.Join(strings.Fields(strings.TrimPrefix(rr.String(), rr.Header().String())), " "))
	}
	slices.Sort(all)
	if len(all) == 0 {
		return dns.RcodeToString[r.Rcode]
	}
	return strings.Join(all, ", ")
}

// eventually waits for an answer.
func (n *node) eventually(question, want string) {
	n.t.Helper()
	got := ""
	for began := time.Now(); time.Since(began) < 15*time.Second; time.Sleep(20 * time.Millisecond) {
		if got = n.ask(question); got == want {
			return
		}
	}
	n.t.Errorf("%s: got %s, want %s\n%s", question, got, want, n.log)
}

// lines keeps a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func ptr[T any](v T) *T { return &v }

func named(namespace, name string) meta.ObjectMeta {
	return meta.ObjectMeta{Namespace: namespace, Name: name}
}

// service is one with an address and a port named http.
func service(namespace, name string, ips ...string) *core.Service {
	return &core.Service{ObjectMeta: named(namespace, name), Spec: core.ServiceSpec{
		ClusterIP: ips[0], ClusterIPs: ips, Ports: []core.ServicePort{{Name: "http", Protocol: core.ProtocolTCP, Port: 80}},
	}}
}

// slice is what a Service leads to.
func slice(namespace, name string, endpoints ...discovery.Endpoint) *discovery.EndpointSlice {
	s := &discovery.EndpointSlice{ObjectMeta: named(namespace, name+"-x1"), AddressType: discovery.AddressTypeIPv4, Endpoints: endpoints,
		Ports: []discovery.EndpointPort{{Name: ptr("http"), Protocol: ptr(core.ProtocolTCP), Port: ptr(int32(8080))}}}
	s.Labels = map[string]string{discovery.LabelServiceName: name}
	return s
}

// upstream is a DNS server outside of the cluster, which knows the names below example, and counts questions.
func upstream(t *testing.T, asked *atomic.Int64) (port uint16) {
	t.Helper()
	conn, stream := sockets(t)
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(r)
		q := r.Question[0]
		if dns.IsSubDomain("example.", q.Name) && q.Qtype == dns.TypeA {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(192, 0, 2, 1)})
		} else {
			m.Rcode = dns.RcodeNameError
			m.Ns = append(m.Ns, &dns.SOA{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60}, Ns: "a.", Mbox: "b.", Minttl: 60})
		}
		if asked != nil {
			asked.Add(1)
		}
		_ = w.WriteMsg(m)
	})
	for _, s := range []*dns.Server{{PacketConn: conn, Handler: answer}, {Listener: stream, Handler: answer}} {
		up := make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		ended := make(chan error, 1)
		go func() { ended <- s.ActivateAndServe() }()
		<-up
		t.Cleanup(func() { _ = s.Shutdown(); <-ended })
	}
	return netip.MustParseAddrPort(stream.Addr().String()).Port()
}

// sockets are of one port, by UDP and TCP.
func sockets(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 100 {
		stream, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", stream.Addr().String())
		if err == nil {
			return packets, stream
		}
		_ = stream.Close() // somebody has that port
	}
	t.Fatal("there is no free port")
	return nil, nil
}
