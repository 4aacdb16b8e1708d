package apicache

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/run"
)

// server is an API server with the lists that a test gives it. It writes them with Kubernetes' own encoders.
type server struct {
	mu       sync.Mutex // guards what follows
	lists    map[string]runtime.Object
	version  int
	watchers map[chan kwatch.Event]string
	asked    []string
	token    string

	forbidden bool
}

func newServer() *server {
	return &server{lists: map[string]runtime.Object{}, version: 100, watchers: map[chan kwatch.Event]string{}}
}

// set makes the list at a path one of these objects.
func (s *server) set(path string, list runtime.Object, objects ...runtime.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range objects {
		s.stamp(o)
	}
	if err := meta.SetList(list, objects); err != nil {
		panic(err)
	}
	s.stamp(list)
	s.lists[path] = list
}

func (s *server) stamp(o runtime.Object) {
	s.version++
	switch of := o.(type) {
	case metav1.Object:
		of.SetResourceVersion(strconv.Itoa(s.version))
	case metav1.ListInterface:
		of.SetResourceVersion(strconv.Itoa(s.version))
	}
}

// send tells all watches of a path.
func (s *server) send(path string, kind kwatch.EventType, o runtime.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stamp(o)
	for w, of := range s.watchers {
		if of == path {
			w <- kwatch.Event{Type: kind, Object: o.DeepCopyObject()}
		}
	}
}

// begin is what a watch of Pods begins with that asks for everything.
func (s *server) begin(path string) []kwatch.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.lists[path].(*core.PodList).DeepCopy()
	var events []kwatch.Event
	for i := range list.Items {
		events = append(events, kwatch.Event{Type: kwatch.Added, Object: &list.Items[i]})
	}
	return append(events, kwatch.Event{Type: kwatch.Bookmark, Object: &core.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: list.ResourceVersion,
		Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}}})
}

// die ends all watches.
func (s *server) die() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		close(w)
		delete(s.watchers, w)
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	list, found := s.lists[r.URL.Path]
	if found {
		list = list.DeepCopyObject() // encoders write to it
	}
	token, forbidden := s.token, s.forbidden
	s.mu.Unlock()
	info := scheme.Codecs.SupportedMediaTypes()[0]
	for _, one := range scheme.Codecs.SupportedMediaTypes() {
		if strings.HasPrefix(r.Header.Get("Accept"), one.MediaType) {
			info = one
		}
	}
	encoder := scheme.Codecs.EncoderForVersion(info.Serializer, core.SchemeGroupVersion)
	switch {
	case forbidden:
		http.Error(w, "not for you", http.StatusForbidden)
	case strings.HasSuffix(r.URL.Path, "/token"):
		w.Header().Set("Content-Type", info.MediaType)
		w.WriteHeader(http.StatusCreated)
		given := &authentication.TokenRequest{Status: authentication.TokenRequestStatus{Token: token, ExpirationTimestamp: metav1.NewTime(time.Now().Add(time.Hour))}}
		_ = scheme.Codecs.EncoderForVersion(info.Serializer, authentication.SchemeGroupVersion).Encode(given, w)
	case !found:
		http.Error(w, "no such list", http.StatusNotFound)
	case r.URL.Query().Get("watch") != "":
		s.watch(w, r, info, encoder)
	default:
		if _, of := list.(*discovery.EndpointSliceList); of {
			encoder = scheme.Codecs.EncoderForVersion(info.Serializer, discovery.SchemeGroupVersion)
		}
		w.Header().Set("Content-Type", info.MediaType)
		_ = encoder.Encode(list, w)
	}
}

func (s *server) watch(w http.ResponseWriter, r *http.Request, info runtime.SerializerInfo, encoder runtime.Encoder) {
	events := make(chan kwatch.Event, 100)
	s.mu.Lock()
	s.watchers[events] = r.URL.Path
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watchers, events)
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", info.MediaType+";stream=watch")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	frames := info.StreamSerializer.Framer.NewFrameWriter(w)
	write := func(e kwatch.Event) {
		var body bytes.Buffer
		_ = encoder.Encode(e.Object, &body)
		_ = info.StreamSerializer.Serializer.Encode(&metav1.WatchEvent{Type: string(e.Type), Object: runtime.RawExtension{Raw: body.Bytes()}}, frames)
		w.(http.Flusher).Flush()
	}
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		for _, e := range s.begin(r.URL.Path) {
			write(e)
		}
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case e, open := <-events:
			if !open {
				return
			}
			write(e)
		}
	}
}

// reach is the way to the server, which can be cut.
type reach struct {
	next http.RoundTripper
	to   *url.URL

	mu    sync.Mutex // guards what follows
	since time.Time
	back  chan struct{}
}

func (s *reach) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, _, away := s.Away(); away {
		return nil, http.ErrServerClosed
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = s.to.Scheme, s.to.Host
	return s.next.RoundTrip(out)
}

func (s *reach) Away() (time.Time, <-chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since, s.back, s.back != nil
}

// node is a node's endpoint with a cache, before a server.
type node struct {
	t      *testing.T
	server *server
	dir    string
	key    *ecdsa.PrivateKey
	reach  *reach
	cache  *Cache
	url    string
	upside *httptest.Server
}

const (
	self     = "far"
	selfUser = "system:node:far"
)

// newNode starts one whose cache is in dir.
func newNode(t *testing.T, change ...func(*Config)) *node {
	t.Helper()
	key, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, server: newServer(), dir: t.TempDir(), key: key}
	n.upside = httptest.NewServer(n.server)
	t.Cleanup(n.upside.Close)
	n.boot(change...)
	return n
}

// boot begins with what is on disk.
func (n *node) boot(change ...func(*Config)) {
	n.t.Helper()
	to, err := url.Parse(n.upside.URL)
	if err != nil {
		n.t.Fatal(err)
	}
	n.reach = &reach{next: http.DefaultTransport, to: to}
	c := Config{Dir: n.dir, Key: n.key, Node: self, Rows: &run.Rows{}, Log: slog.New(slog.DiscardHandler), Refers: refers, Caller: func(ctx context.Context) string {
		user, _ := ctx.Value(userKey{}).(string)
		return user
	}}
	for _, f := range change {
		f(&c)
	}
	n.cache = Open(c)
	proxy := &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}, Transport: n.cache.Around(n.reach), FlushInterval: -1}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, r.Header.Get("X-User"))))
	}))
	n.t.Cleanup(srv.Close)
	n.url = srv.URL
}

type userKey struct{}

// cut takes the server away.
func (n *node) cut() {
	n.reach.mu.Lock()
	defer n.reach.mu.Unlock()
	n.reach.since, n.reach.back = time.Now(), make(chan struct{})
}

// mend brings it back.
func (n *node) mend() {
	n.reach.mu.Lock()
	defer n.reach.mu.Unlock()
	close(n.reach.back)
	n.reach.back = nil
}

// as is a client that shows a user's certificate, and speaks one encoding.
func (n *node) as(user, media string) kubernetes.Interface {
	n.t.Helper()
	return n.client(media, func(r *http.Request) { r.Header.Set("X-User", user) })
}

// client is one that shows what prepare adds.
func (n *node) client(media string, prepare func(*http.Request)) kubernetes.Interface {
	n.t.Helper()
	c := &rest.Config{Host: n.url, QPS: -1, WrapTransport: func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			prepare(r)
			answer, err := next.RoundTrip(r)
			if err == nil {
				answer.Header.Del("Retry-After") // the client would ask ten times
			}
			return answer, err
		})
	}}
	c.ContentType, c.AcceptContentTypes = media, media
	c.TLSClientConfig = rest.TLSClientConfig{NextProtos: nil}
	client, err := kubernetes.NewForConfig(c)
	if err != nil {
		n.t.Fatal(err)
	}
	return client
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// reboot keeps what was written only.
func (n *node) reboot(change ...func(*Config)) {
	n.t.Helper()
	if err := n.cache.flush(); err != nil {
		n.t.Fatal(err)
	}
	n.cache.close()
	n.boot(change...)
}

func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for range 500 {
		if check() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it is not so that %s", what)
}

func pod(name, ip string) *core.Pod {
	return &core.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)}, Spec: core.PodSpec{NodeName: self},
		Status: core.PodStatus{Phase: core.PodRunning, PodIP: ip, PodIPs: []core.PodIP{{IP: ip}}, Conditions: []core.PodCondition{{Type: core.PodReady, Status: core.ConditionTrue}}}}
}

// refers is enough for pods of tests.
func refers(p *core.Pod) (secrets, configMaps []string) {
	for _, c := range p.Spec.Containers {
		for _, from := range c.EnvFrom {
			secrets = append(secrets, from.SecretRef.Name)
		}
	}
	for _, v := range p.Spec.Volumes {
		configMaps = append(configMaps, v.ConfigMap.Name)
	}
	return secrets, configMaps
}
