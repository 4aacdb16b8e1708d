package apicache

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

const (
	allPods   = "/api/v1/pods"
	ofThis    = "spec.nodeName=" + self
	mediaJSON = "application/json"
	mediaBin  = "application/vnd.kubernetes.protobuf"
)

func encodings() []string { return []string{mediaBin, mediaJSON} }

func mine() metav1.ListOptions { return metav1.ListOptions{FieldSelector: ofThis} }

func names(t *testing.T, client kubernetes.Interface) string {
	t.Helper()
	list, err := client.CoreV1().Pods("").List(t.Context(), mine())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range list.Items {
		all = append(all, p.Name)
	}
	return strings.Join(all, " ") + " at " + list.ResourceVersion
}

func TestListsComeBackInEveryEncodingAfterAReboot(t *testing.T) {
	for _, media := range encodings() {
		n := newNode(t)
		n.server.set(allPods, &core.PodList{}, pod("b", "10.0.0.2"), pod("a", "10.0.0.1"))
		online := names(t, n.as(selfUser, media))
		n.reboot()
		n.cut()
		for _, asked := range encodings() {
			if got := names(t, n.as(selfUser, asked)); got != "a b at 103" || !strings.HasSuffix(online, "at 103") {
				t.Errorf("recorded as %s, asked as %s: %q; before %q", media, asked, got, online)
			}
		}
		got, err := n.as(selfUser, media).CoreV1().Pods("default").Get(t.Context(), "a", metav1.GetOptions{})
		if err != nil || got.Status.PodIP != "10.0.0.1" || got.UID != "uid-a" {
			t.Errorf("one of them: %v, %v", got, err)
		}
	}
}

func TestAWatchIsRecordedAsItPasses(t *testing.T) {
	for _, media := range encodings() {
		n := newNode(t)
		client := n.as(selfUser, media)
		n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"), pod("b", "10.0.0.2"))
		names(t, client)
		w := watch(t, client, "103")
		eventually(t, "the server has the watch", func() bool {
			n.server.mu.Lock()
			defer n.server.mu.Unlock()
			return len(n.server.watchers) == 1
		})
		n.server.send(allPods, kwatch.Added, pod("c", "10.0.0.3"))
		n.server.send(allPods, kwatch.Modified, pod("b", "10.0.0.9"))
		n.server.send(allPods, kwatch.Deleted, pod("a", "10.0.0.1"))
		for range 3 {
			next(t, w)
		}
		w.Stop()
		n.reboot()
		n.cut()
		if got := names(t, n.as(selfUser, media)); !strings.HasPrefix(got, "b c at ") {
			t.Errorf("%s: %q", media, got)
		}
		b, err := n.as(selfUser, media).CoreV1().Pods("default").Get(t.Context(), "b", metav1.GetOptions{})
		if err != nil || b.Status.PodIP != "10.0.0.9" {
			t.Errorf("%s: %v, %v", media, b, err)
		}
	}
}

func watch(t *testing.T, client kubernetes.Interface, since string) kwatch.Interface {
	t.Helper()
	options := mine()
	options.ResourceVersion = since
	w, err := client.CoreV1().Pods("").Watch(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func next(t *testing.T, w kwatch.Interface) kwatch.Event {
	t.Helper()
	select {
	case e, open := <-w.ResultChan():
		if !open {
			t.Fatal("the watch has ended")
		}
		return e
	case <-time.After(5 * time.Second):
		t.Fatal("nothing came")
	}
	panic("not reached")
}

func TestAWatchStaysOpenAndEndsSuchThatAllIsListedAnew(t *testing.T) {
	for _, media := range encodings() {
		n := newNode(t)
		client := n.as(selfUser, media)
		n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"))
		names(t, client)
		n.cut()
		w := watch(t, client, "")
		if e := next(t, w); e.Type != kwatch.Added || e.Object.(*core.Pod).Name != "a" {
			t.Errorf("%s: it begins with %v", media, e)
		}
		set(t, client, `{"status":{"podIP":"10.0.0.7","podIPs":[{"ip":"10.0.0.7"}]}}`)
		if e := next(t, w); e.Type != kwatch.Modified || e.Object.(*core.Pod).Status.PodIP != "10.0.0.7" {
			t.Errorf("%s: then %v", media, e)
		}
		later := watch(t, client, "102") // by one who listed before
		if e := next(t, later); e.Type != kwatch.Modified || e.Object.(*core.Pod).Status.PodIP != "10.0.0.7" {
			t.Errorf("%s: one who comes later is told %v", media, e)
		}
		n.mend()
		e := next(t, w)
		if e.Type != kwatch.Error || !apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) {
			t.Errorf("%s: at the end %v", media, e)
		}
	}
}

func TestAWatchThatBeginsWithEverything(t *testing.T) {
	n := newNode(t)
	client := n.as(selfUser, mediaBin)
	n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"))
	yes := true
	options := mine()
	options.SendInitialEvents, options.AllowWatchBookmarks, options.ResourceVersionMatch = &yes, true, metav1.ResourceVersionMatchNotOlderThan
	w, err := client.CoreV1().Pods("").Watch(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	next(t, w)
	next(t, w)
	w.Stop()
	n.reboot()
	n.cut()
	if w, err = n.as(selfUser, mediaBin).CoreV1().Pods("").Watch(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	if e := next(t, w); e.Type != kwatch.Added || e.Object.(*core.Pod).Name != "a" {
		t.Errorf("it begins with %v", e)
	}
	if e := next(t, w); e.Type != kwatch.Bookmark || e.Object.(*core.Pod).Annotations[metav1.InitialEventsAnnotationKey] != "true" || e.Object.(*core.Pod).ResourceVersion == "" {
		t.Errorf("it goes on with %v", e)
	}
}

// set patches the status of the pod a as a kubelet does.
func set(t *testing.T, client kubernetes.Interface, patch string) *core.Pod {
	t.Helper()
	p, err := client.CoreV1().Pods("default").Patch(t.Context(), "a", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhatANodeSaysOfItsPodsIsKeptAndServersWinLater(t *testing.T) {
	for _, media := range encodings() {
		n := newNode(t)
		client := n.as(selfUser, media)
		n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"))
		names(t, client)
		n.cut()
		if p := set(t, client, `{"metadata":{"uid":"uid-a"},"status":{"phase":"Succeeded"}}`); p.Status.Phase != core.PodSucceeded || p.Spec.NodeName != self {
			t.Errorf("the answer is %v", p)
		}
		if _, err := client.CoreV1().Pods("default").Patch(t.Context(), "a", types.StrategicMergePatchType,
			[]byte(`{"metadata":{"uid":"another"},"status":{"phase":"Failed"}}`), metav1.PatchOptions{}, "status"); err == nil {
			t.Error("the status of another pod was taken")
		}
		n.reboot()
		n.cut()
		client = n.as(selfUser, media)
		if p, err := client.CoreV1().Pods("default").Get(t.Context(), "a", metav1.GetOptions{}); err != nil || p.Status.Phase != core.PodSucceeded {
			t.Errorf("after a reboot: %v, %v", p.Status.Phase, err)
		}
		n.mend()
		names(t, client) // the server still has the old one
		n.cut()
		if p, err := client.CoreV1().Pods("default").Get(t.Context(), "a", metav1.GetOptions{}); err != nil || p.Status.Phase != core.PodRunning {
			t.Errorf("after a server has told its own: %v, %v", p.Status.Phase, err)
		}
	}
}

func TestANodeAlone(t *testing.T) {
	n := newNode(t)
	client := n.as(selfUser, mediaBin)
	node := &core.Node{ObjectMeta: metav1.ObjectMeta{Name: self, UID: "1"}}
	n.server.set("/api/v1/nodes", &core.NodeList{}, node)
	only := metav1.ListOptions{FieldSelector: "metadata.name=" + self}
	if _, err := client.CoreV1().Nodes().List(t.Context(), only); err != nil {
		t.Fatal(err)
	}
	n.reboot()
	n.cut()
	client = n.as(selfUser, mediaBin)
	ctx := t.Context()
	if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("its registration: %v", err)
	}
	_, err := client.CoreV1().Nodes().PatchStatus(ctx, self, []byte(`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`))
	if err != nil {
		t.Errorf("its status: %v", err)
	}
	if got, err := client.CoreV1().Nodes().Get(ctx, self, metav1.GetOptions{}); err != nil || len(got.Status.Conditions) != 1 {
		t.Errorf("its status then: %v, %v", got, err)
	}
	if n.cache.index.dirty() {
		t.Error("its heartbeat is to be written")
	}
	own := client.CoordinationV1().Leases(leasesOfNodes)
	if _, err := own.Get(ctx, self, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("its lease: %v", err)
	}
	made, err := own.Create(ctx, &coordination.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: leasesOfNodes, Name: self}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := own.Update(ctx, made, metav1.UpdateOptions{}); err != nil {
		t.Errorf("its lease renewed: %v", err)
	}
	if _, err := client.CoreV1().Events("default").Create(ctx, &core.Event{ObjectMeta: metav1.ObjectMeta{Name: "e", Namespace: "default"}}, metav1.CreateOptions{}); err != nil || n.cache.dropped != 1 {
		t.Errorf("an event: %v, %d dropped", err, n.cache.dropped)
	}
}

// refused wants a request to be answered 503, with a reason.
func refused(t *testing.T, what string, err error) {
	t.Helper()
	if !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), "no API server has been in reach") {
		t.Errorf("%s: %v", what, err)
	}
	if after, ok := apierrors.SuggestsClientDelay(err); !ok || after != retryAfter {
		t.Errorf("%s: to be tried again after %v, %v", what, after, ok)
	}
}

// raw asks without the retries of a client.
func (n *node) raw(user, method, path, body string) (int, http.Header) {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), method, n.url+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("X-User", user)
	r.Header.Set("Content-Type", mediaJSON)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode, answer.Header
}

func TestWhatCannotBeAnsweredIsRefused(t *testing.T) {
	n := newNode(t)
	n.server.set("/api/v1/namespaces/default/secrets", &core.SecretList{}, &core.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s"}})
	if _, err := n.as(selfUser, mediaJSON).CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=s"}); err != nil {
		t.Fatal(err)
	}
	n.cut()
	for _, ask := range []struct{ user, method, path, body string }{
		{selfUser, "GET", "/api/v1/namespaces/kube-system/secrets/other", ""},
		{selfUser, "GET", "/api/v1/secrets", ""},
		{selfUser, "GET", "/api/v1/namespaces/default/secrets", ""}, // wider than what was asked before
		{selfUser, "GET", "/api/v1/services?watch=true", ""},
		{selfUser, "GET", "/version", ""},
		{selfUser, "POST", "/api/v1/namespaces/default/configmaps", "{}"},
		{selfUser, "DELETE", "/api/v1/namespaces/default/pods/a", ""},
		{selfUser, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "{}"},
		{selfUser, "PATCH", "/api/v1/nodes/another/status", "{}"},
		{selfUser, "POST", "/api/v1/nodes", "{}"}, // not known here
		{"system:kube-proxy", "GET", "/api/v1/namespaces/default/secrets/s", ""},
		{"system:kube-proxy", "GET", "/api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3Ds", ""},
	} {
		if code, header := n.raw(ask.user, ask.method, ask.path, ask.body); code != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
			t.Errorf("%s %s for %s: %d", ask.method, ask.path, ask.user, code)
		}
	}
	if code, _ := n.raw(selfUser, "GET", "/api/v1/namespaces/default/secrets/s", ""); code != http.StatusOK {
		t.Errorf("the user who was shown it: %d", code)
	}
}

func TestPodsWhoseRightsNobodyKnowsAreRefused(t *testing.T) {
	n := newNode(t)
	n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"))
	names(t, n.as(selfUser, mediaJSON))
	n.cut()
	n.reach.mu.Lock()
	n.reach.since = time.Now().Add(-podPatience)
	n.reach.mu.Unlock()
	for _, path := range []string{allPods + "?fieldSelector=spec.nodeName%3Dfar", "/api/v1/namespaces/default/pods/a", allPods + "?watch=true"} {
		if code, header := n.raw("", "GET", path, ""); code != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
			t.Errorf("%s: %d", path, code)
		}
	}
	_, err := n.as("", mediaJSON).CoreV1().Pods("").List(context.Background(), metav1.ListOptions{})
	refused(t, "a pod", err)
}

func TestAPodWaitsForAServerThatIsBackInAMoment(t *testing.T) {
	n := newNode(t)
	n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"))
	n.cut()
	time.AfterFunc(100*time.Millisecond, n.mend)
	if code, _ := n.raw("", "GET", allPods, ""); code != http.StatusOK {
		t.Errorf("%d", code)
	}
}

func TestAPodThatWasToBeDeletedIsGoneWhenItHasEnded(t *testing.T) {
	n := newNode(t)
	client := n.as(selfUser, mediaBin)
	leaving := pod("b", "10.0.0.2")
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"), leaving)
	names(t, client)
	n.cut()
	w := watch(t, client, "104")
	if err := client.CoreV1().Pods("default").Delete(t.Context(), "b", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if e := next(t, w); e.Type != kwatch.Deleted || e.Object.(*core.Pod).Name != "b" {
		t.Errorf("the watch says %v", e)
	}
	if err := client.CoreV1().Pods("default").Delete(t.Context(), "a", metav1.DeleteOptions{}); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("one that nobody wanted to be deleted: %v", err)
	}
	n.reboot()
	n.cut()
	if got := names(t, n.as(selfUser, mediaBin)); !strings.HasPrefix(got, "a at") {
		t.Errorf("after a reboot: %q", got)
	}
}
