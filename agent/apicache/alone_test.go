package apicache

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/agent/podrights"
)

// roles are the rights of pods by their tokens, as verb, resource and namespace.
type roles map[string][]string

func (m roles) Who(token string) (podrights.User, error) {
	if token == "whose" {
		return podrights.User{}, podrights.ErrUnknown
	}
	if m[token] == nil {
		return podrights.User{}, errors.New("nobody has this token")
	}
	name, uid, _ := strings.Cut(token, "/")
	return podrights.User{Name: token, Namespace: "default", Pod: name, PodUID: uid}, nil
}

func (m roles) Known(u podrights.User) bool { return len(m[u.Name]) > 0 }

func (m roles) May(u podrights.User, a podrights.Ask) bool {
	if a.Subresource != "" {
		a.Resource += "/" + a.Subresource
	}
	return slices.Contains(m[u.Name], strings.TrimSpace(a.Verb+" "+a.Resource+" "+a.Namespace)) || slices.Contains(m[u.Name], a.Verb+" "+a.Resource+" "+a.Namespace+" "+a.Name)
}

const (
	slicesPath  = "/apis/discovery.k8s.io/v1/endpointslices"
	servicePath = "/api/v1/services"
	secretPath  = "/api/v1/namespaces/default/secrets"
	mapPath     = "/api/v1/namespaces/default/configmaps"
	reader      = "a/uid-a" // the token of the pod a
)

func named(namespace, name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}
}

// knowing is a node that has heard what nodes hear, and has lost its server for longer than requests wait.
func knowing(t *testing.T) *node {
	t.Helper()
	n := newNode(t, withRoles)
	n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"), pod("b", "10.0.0.2"))
	n.server.set(secretPath, &core.SecretList{}, &core.Secret{ObjectMeta: named("default", "s", nil)})
	n.server.set("/api/v1/namespaces/kube-system/secrets", &core.SecretList{}, &core.Secret{ObjectMeta: named("kube-system", "s", nil)})
	n.server.set(mapPath, &core.ConfigMapList{}, &core.ConfigMap{ObjectMeta: named("default", rootCA, nil), Data: map[string]string{authorityKey: "theirs\n"}})
	n.server.set(servicePath, &core.ServiceList{}, &core.Service{ObjectMeta: named("default", "web", nil)})
	port, https := int32(6443), "https"
	api := &discovery.EndpointSlice{ObjectMeta: named("default", "kubernetes", map[string]string{discovery.LabelServiceName: apiService}), AddressType: discovery.AddressTypeIPv4,
		Ports: []discovery.EndpointPort{{Name: &https, Port: &port}}, Endpoints: []discovery.Endpoint{{Addresses: []string{"192.0.2.1"}}}}
	n.server.set(slicesPath, &discovery.EndpointSliceList{}, api,
		&discovery.EndpointSlice{ObjectMeta: named("default", "web-1", map[string]string{"of": "web"})}, &discovery.EndpointSlice{ObjectMeta: named("shop", "web-2", map[string]string{"of": "web"})})
	n.server.set("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", &discovery.EndpointSliceList{}, api)
	n.hear()
	n.lose()
	return n
}

func withRoles(c *Config) {
	c.Door = Door{At: []netip.AddrPort{netip.MustParseAddrPort("[fd00::2]:6444"), netip.MustParseAddrPort("192.0.2.2:6444")}, Authority: []byte("ours\n")}
	c.Rights = roles{
		reader: {"get secrets default", "get configmaps default", "list configmaps default " + rootCA, "get endpointslices default", "list endpointslices", "list endpointslices default",
			"watch endpointslices default", "list pods", "list pods default", "watch pods default", "list services", "get widgets default", "get pods default", "watch configmaps default"},
		"b/uid-b": {}, "gone/uid-gone": {"get secrets default"}, "a/another": {"get secrets default"}, "far/uid-far": {"get secrets default"},
	}
}

// hear asks as the node's components do.
func (n *node) hear() {
	n.t.Helper()
	for _, media := range encodings() {
		kubelet, proxy := n.as(selfUser, media), n.as(proxyUser, media)
		names(n.t, kubelet)
		ctx := n.t.Context()
		_, err1 := kubelet.CoreV1().Secrets("default").List(ctx, only("s"))
		_, err2 := kubelet.CoreV1().Secrets("kube-system").List(ctx, only("s"))
		_, err3 := kubelet.CoreV1().ConfigMaps("default").List(ctx, only(rootCA))
		_, err4 := proxy.CoreV1().Services("").List(ctx, metav1.ListOptions{LabelSelector: "!headless"})
		_, err5 := proxy.DiscoveryV1().EndpointSlices("").List(ctx, metav1.ListOptions{})
		_, err6 := proxy.DiscoveryV1().EndpointSlices("default").List(ctx, ofTheAPI())
		if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
			n.t.Fatal(err)
		}
	}
}

func only(name string) metav1.ListOptions {
	return metav1.ListOptions{FieldSelector: "metadata.name=" + name}
}

func ofTheAPI() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: discovery.LabelServiceName + "=" + apiService}
}

// lose takes the server away, so long ago that nobody waits for it.
func (n *node) lose() {
	n.cut()
	n.reach.mu.Lock()
	defer n.reach.mu.Unlock()
	n.reach.since = time.Now().Add(-podPatience)
}

// asPod asks with a token.
func (n *node) asPod(token, method, path string) (int, http.Header, string) {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), method, n.url+path, strings.NewReader("{}"))
	if err != nil {
		n.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(text)
}

func TestAPodIsToldWhatTheNodeKnowsAndItsRolesLetItRead(t *testing.T) {
	n := knowing(t)
	const inDefault = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
	for _, ask := range []struct {
		token, path string
		code        int
		has, hasNot string
	}{
		{"", secretPath + "/s", 401, "no token", ""},
		{"unknown", secretPath + "/s", 401, "nobody has this token", ""},
		{"gone/uid-gone", secretPath + "/s", 401, "which this node does not have", ""},
		{"a/another", secretPath + "/s", 401, "which this node does not have", ""},
		{"whose", secretPath + "/s", 503, "only a server can say", ""},
		{"b/uid-b", secretPath + "/s", 503, "the rights of b/uid-b were not told", ""},
		{reader, secretPath + "/s", 200, `"name":"s"`, ""},
		{reader, "/api/v1/namespaces/kube-system/secrets/s", 403, "cannot get it", `"name":"s","namespace"`},
		{reader, "/api/v1/namespaces/nowhere/secrets/s", 403, "cannot get it", ""},
		{reader, secretPath, 403, "cannot list it", ""},
		{reader, secretPath + "/another", 503, "no API server has been in reach of this node since 2", ""},
		{reader, mapPath + "/" + rootCA, 200, "theirs", "ours"}, // as servers said it
		{reader, mapPath + "?fieldSelector=metadata.name%3D" + rootCA, 200, "theirs", "ours"},
		{reader, mapPath, 403, "cannot list it", ""},
		{reader, inDefault + "/web-1", 200, "web-1", ""},
		{reader, inDefault + "/missing", 404, "not found", ""},
		{reader, "/apis/discovery.k8s.io/v1beta1/namespaces/default/endpointslices/web-1", 503, "not remembered", ""},
		{reader, slicesPath, 200, "web-2", ""},
		{reader, inDefault, 200, "192.0.2.1", "web-2"},
		{reader, inDefault + "?labelSelector=of%3Dweb", 200, "web-1", "192.0.2.1"},
		{reader, inDefault + "?labelSelector=of+in+(", 400, "", ""},
		{reader, slicesPath + "?fieldSelector=metadata.namespace%3Dshop", 200, "web-2", "web-1"},
		{reader, slicesPath + "?fieldSelector=metadata.name%3Dweb-1,metadata.namespace%21%3Dshop", 200, "web-1", "web-2"},
		{reader, slicesPath + "?fieldSelector=addressType%3DIPv4", 503, "this list is not remembered", ""},
		{reader, slicesPath + "?resourceVersion=0", 200, "web-2", ""},
		{reader, slicesPath + "?resourceVersion=1000", 503, "nothing that new", ""},
		{reader, slicesPath + "?continue=here", 410, "begin anew", ""},
		{reader, "/apis/discovery.k8s.io/v1beta1/endpointslices", 503, "this list is not remembered", ""},
		{reader, "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", 403, "cannot list it", ""},
		{reader, allPods + "?fieldSelector=" + ofThis, 200, `"uid-b"`, ""},
		{reader, "/api/v1/namespaces/default/pods?fieldSelector=" + ofThis, 200, `"uid-b"`, ""},
		{reader, allPods, 503, "this list is not remembered", ""}, // those of other nodes would not be in it
		{reader, servicePath, 503, "this list is not remembered", ""},
		{reader, servicePath + "?labelSelector=%21headless", 200, `"web"`, ""},
		{reader, "/api/v1/namespaces/default/pods/a/log", 403, "pods/log", ""},
		{reader, "/apis/example.com/v1/namespaces/default/widgets/w", 503, "this is not remembered", ""},
		{reader, mapPath + "/" + rootCA + "?watch=true", 503, "this is not remembered", ""},
		{reader, "/version", 503, "this is not remembered", ""},
		{reader, "/readyz", 503, "", ""},
	} {
		code, header, text := n.asPod(ask.token, http.MethodGet, ask.path)
		if code != ask.code || !strings.Contains(text, ask.has) || ask.hasNot != "" && strings.Contains(text, ask.hasNot) || (header.Get("Retry-After") != "") != (code == 503) {
			t.Errorf("%q: %s: %d, Retry-After %q\n%s", ask.token, ask.path, code, header.Get("Retry-After"), text)
		}
	}
}

func TestAPodDoesNotAnswerForOthers(t *testing.T) {
	n := knowing(t)
	for _, name := range []string{"Impersonate-User", "impersonate-group", "Impersonate-Uid", "Impersonate-Extra-scopes"} {
		_, err := n.client(mediaJSON, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+reader)
			r.Header.Set(name, "jane")
		}).CoreV1().Secrets("default").Get(t.Context(), "s", metav1.GetOptions{})
		if !apierrors.IsServiceUnavailable(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPodsChangeNothing(t *testing.T) {
	n := knowing(t)
	for method, path := range map[string]string{
		http.MethodPost: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", http.MethodPut: mapPath + "/" + rootCA, http.MethodPatch: "/api/v1/namespaces/default/pods/a/status",
		http.MethodDelete: "/api/v1/namespaces/default/pods/a",
	} {
		if code, header, text := n.asPod(reader, method, path); code != 503 || header.Get("Retry-After") == "" || !strings.Contains(text, "nothing can be changed") {
			t.Errorf("%s %s: %d %s", method, path, code, text)
		}
		if code, _, _ := n.asPod("unknown", method, path); code != 401 {
			t.Errorf("%s %s by a stranger: %d", method, path, code)
		}
	}
}

func TestWithAServerPodsAreItsToAnswer(t *testing.T) {
	n := knowing(t)
	n.mend()
	n.server.forbidden = true
	if code, _, text := n.asPod(reader, http.MethodGet, "/api/v1/namespaces/kube-system/secrets/s"); code != 403 || !strings.Contains(text, "not for you") {
		t.Errorf("%d %s", code, text)
	}
	n.server.forbidden = false
	if code, _, _ := n.asPod("unknown", http.MethodGet, slicesPath); code != 200 { // this server does not look at tokens
		t.Errorf("%d", code)
	}
}

func TestAPodKnowsAtOnceWhatIsRememberedAndWaitsForWhatIsNot(t *testing.T) {
	n := knowing(t)
	n.reach.mu.Lock()
	n.reach.since = time.Now()
	n.reach.mu.Unlock()
	began := time.Now()
	if code, _, _ := n.asPod(reader, http.MethodGet, secretPath+"/s"); code != 200 || time.Since(began) > podPatience/2 {
		t.Errorf("%d after %v", code, time.Since(began))
	}
	time.AfterFunc(100*time.Millisecond, n.mend)
	if code, _, _ := n.asPod(reader, http.MethodGet, servicePath); code != 200 || time.Since(began) > podPatience/2 {
		t.Errorf("when the server is back: %d after %v", code, time.Since(began))
	}
}

// podClient is a client of a pod.
func (n *node) podClient(media string) kubernetes.Interface {
	return n.client(media, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+reader) })
}

func TestAWatchOfAPodStaysOpen(t *testing.T) {
	for _, media := range encodings() {
		n := knowing(t)
		ctx := t.Context()
		pods := n.podClient(media).CoreV1().Pods("default")
		options := mine()
		list, err := pods.List(ctx, options)
		if err != nil || len(list.Items) != 2 {
			t.Fatal(list, err)
		}
		options.ResourceVersion = list.ResourceVersion
		w, err := pods.Watch(ctx, options)
		if err != nil {
			t.Fatal(err)
		}
		set(t, n.as(selfUser, media), `{"status":{"podIP":"10.0.0.7"}}`)
		if e := next(t, w); e.Type != kwatch.Modified || e.Object.(*core.Pod).Status.PodIP != "10.0.0.7" {
			t.Errorf("%s: %v", media, e)
		}
		none := options
		none.LabelSelector = "app=none"
		silent, err := pods.Watch(ctx, none)
		if err != nil {
			t.Fatal(err)
		}
		set(t, n.as(selfUser, media), `{"status":{"podIP":"10.0.0.8"}}`)
		if e := next(t, w); e.Type != kwatch.Modified {
			t.Errorf("%s: %v", media, e)
		}
		n.mend()
		for _, w := range []kwatch.Interface{w, silent} { // the silent one has heard of nothing else
			if e := next(t, w); e.Type != kwatch.Error || !apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) {
				t.Errorf("%s: at the end %v", media, e)
			}
		}
	}
}

func TestAWatchThatMissedSomethingListsAnew(t *testing.T) {
	n := knowing(t)
	slices := n.podClient(mediaJSON).DiscoveryV1().EndpointSlices("default")
	if _, err := slices.Watch(t.Context(), metav1.ListOptions{ResourceVersion: "99"}); !apierrors.IsResourceExpired(err) {
		t.Errorf("from before what the node knows: %v", err)
	}
	later, err := slices.Watch(t.Context(), metav1.ListOptions{ResourceVersion: "1000"})
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	all, err := slices.Watch(t.Context(), metav1.ListOptions{SendInitialEvents: &yes, AllowWatchBookmarks: true, LabelSelector: "of=web", ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
	if err != nil {
		t.Fatal(err)
	}
	if e := next(t, all); e.Type != kwatch.Added || e.Object.(*discovery.EndpointSlice).Name != "web-1" {
		t.Errorf("it begins with %v", e)
	}
	if e := next(t, all); e.Type != kwatch.Bookmark {
		t.Errorf("then %v", e)
	}
	n.mend()
	if e := next(t, later); e.Type != kwatch.Error {
		t.Errorf("one from after it is told %v", e)
	}
}

func TestPodsAreLedToTheNodeWhileNoServerIsInReach(t *testing.T) {
	for _, media := range encodings() {
		n := knowing(t)
		n.reboot(withRoles)
		n.cut()
		n.isWay(t, media, "theirs\nours\n", "192.0.2.2", 6444)
		n.mend()
		n.isWay(t, media, "theirs\n", "192.0.2.1", 6443)
	}
}

// isWay wants the kubelet and kube-proxy to be told what pods trust and where they are led, and who learns the servers of them.
func (n *node) isWay(t *testing.T, media, trust, address string, port int32) {
	t.Helper()
	ctx := t.Context()
	kubelet, proxy := n.as(selfUser, media), n.as(proxyUser, media)
	maps, err := kubelet.CoreV1().ConfigMaps("default").List(ctx, only(rootCA))
	if err != nil || len(maps.Items) != 1 || maps.Items[0].Data[authorityKey] != trust {
		t.Errorf("the kubelet is told %v, %v", maps, err)
	}
	of := func(all *discovery.EndpointSliceList, err error) (string, int32) {
		t.Helper()
		i := slices.IndexFunc(all.Items, func(s discovery.EndpointSlice) bool { return s.Name == "kubernetes" })
		if err != nil || i < 0 {
			t.Fatal(all, err)
		}
		return all.Items[i].Endpoints[0].Addresses[0], *all.Items[i].Ports[0].Port
	}
	if at, to := of(proxy.DiscoveryV1().EndpointSlices("").List(ctx, metav1.ListOptions{})); at != address || to != port {
		t.Errorf("kube-proxy is told %s port %d", at, to)
	}
	if at, to := of(proxy.DiscoveryV1().EndpointSlices("default").List(ctx, ofTheAPI())); at != "192.0.2.1" || to != 6443 {
		t.Errorf("who learns the servers is told %s port %d", at, to)
	}
}

func TestOpenWatchesHearOfTheWayToTheNode(t *testing.T) {
	n := knowing(t)
	options := only(rootCA)
	options.ResourceVersion = "1000" // it has heard all that servers said
	trust, err := n.as(selfUser, mediaBin).CoreV1().ConfigMaps("default").Watch(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if e := next(t, trust); e.Type != kwatch.Modified || e.Object.(*core.ConfigMap).Data[authorityKey] != "theirs\nours\n" {
		t.Errorf("the kubelet hears %v", e)
	}
	way, err := n.as(proxyUser, mediaBin).DiscoveryV1().EndpointSlices("").Watch(t.Context(), metav1.ListOptions{ResourceVersion: "1000"})
	if err != nil {
		t.Fatal(err)
	}
	if e := next(t, way); e.Type != kwatch.Modified || e.Object.(*discovery.EndpointSlice).Endpoints[0].Addresses[0] != "192.0.2.2" {
		t.Errorf("kube-proxy hears %v", e)
	}
}

func TestWithoutAnAddressOfTheFamilyNobodyIsLedAway(t *testing.T) {
	d := Door{At: []netip.AddrPort{netip.MustParseAddrPort("[fd00::2]:6444")}}
	for _, o := range []runtime.Object{
		&discovery.EndpointSlice{ObjectMeta: named("default", "kubernetes", map[string]string{discovery.LabelServiceName: apiService}), AddressType: discovery.AddressTypeIPv4},
		&discovery.EndpointSlice{ObjectMeta: named("default", "web", map[string]string{discovery.LabelServiceName: "web"}), AddressType: discovery.AddressTypeIPv6},
	} {
		if d.lead(o) {
			t.Errorf("%v leads to the node", o)
		}
	}
	if d.vouch(&core.ConfigMap{Data: map[string]string{authorityKey: "theirs"}}) {
		t.Error("nothing is trusted")
	}
}
