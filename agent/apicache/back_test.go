package apicache

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kwatch "k8s.io/apimachinery/pkg/watch"
)

func TestWhatTheNodeToldAloneIsListedAnew(t *testing.T) {
	yes, ctx := true, t.Context()
	for what, all := range map[string]metav1.ListOptions{
		"a list":  {},
		"a watch": {Watch: true, SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan},
	} {
		n := knowing(t)
		pods := n.as(selfUser, mediaBin).CoreV1().Pods("")
		since, all := mine(), all
		all.FieldSelector = ofThis
		alone, err := pods.List(ctx, since)
		if err != nil {
			t.Fatal(err)
		}
		n.mend()
		since.ResourceVersion = alone.ResourceVersion
		if _, err := pods.Watch(ctx, since); !apierrors.IsResourceExpired(err) {
			t.Errorf("a watch that goes on from it: %v", err)
		}
		if all.Watch {
			_, err = pods.Watch(ctx, all)
		} else {
			_, err = pods.List(ctx, all)
		}
		if err != nil {
			t.Errorf("%s of a server: %v", what, err)
		}
		if _, err := pods.Watch(ctx, since); err != nil {
			t.Errorf("after %s of a server: %v", what, err)
		}
	}
}

func TestAWatchThatEndsAsAServerIsBackSaysSo(t *testing.T) {
	n := knowing(t)
	back := make(chan struct{})
	close(back)
	w := &watching{cache: n.cache, listener: &listener{}, form: jsonText, back: back, ctx: t.Context(), ends: time.NewTimer(0), closed: make(chan struct{})}
	for range 50 {
		w.text, w.over = nil, false
		w.ends.Reset(0)
		time.Sleep(time.Millisecond)
		if err := w.wait(); err != nil || !strings.Contains(string(w.text), "Expired") {
			t.Fatalf("%q, %v", w.text, err)
		}
	}
}

func TestWhatAServerDeletedCountsNoMore(t *testing.T) {
	until := func(at time.Time) *core.Pod {
		p := pod("a", "10.0.0.1")
		p.DeletionTimestamp = &metav1.Time{Time: at}
		return p
	}
	for what, ask := range map[string]struct {
		change func(n *node)
		code   int
		kept   bool // the pod, for whom may read it
	}{
		"nothing": {func(*node) {}, 200, true},
		"deleted": {func(n *node) { n.server.send(allPods, kwatch.Deleted, pod("a", "")) }, 401, false},
		"not listed any more": {func(n *node) {
			n.server.set(allPods, &core.PodList{}, pod("b", "10.0.0.2"))
			names(t, n.as(selfUser, mediaBin))
		}, 401, false},
		"no pods told":      {func(n *node) { n.cache.config.Node = "another" }, 503, true},
		"overdue":           {func(n *node) { n.server.send(allPods, kwatch.Modified, until(time.Now().Add(-2*time.Minute))) }, 401, true},
		"about to be ended": {func(n *node) { n.server.send(allPods, kwatch.Modified, until(time.Now())) }, 200, true},
	} {
		n := knowing(t)
		n.mend()
		ctx, kubelet := t.Context(), n.as(selfUser, mediaBin).CoreV1().Pods("")
		n.server.lists["/api/v1/namespaces/default/pods/a"] = pod("a", "10.0.0.1")
		_, err := n.as(selfUser, mediaBin).CoreV1().Pods("default").Get(ctx, "a", metav1.GetOptions{})
		names(t, n.as(selfUser, mediaBin))
		w, err2 := kubelet.Watch(ctx, mine())
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the kubelet watches", func() bool { return watchers(n) == 1 })
		ask.change(n)
		n.server.send(allPods, kwatch.Added, pod("z", "10.0.0.9"))
		for e := next(t, w); e.Object.(*core.Pod).Name != "z"; e = next(t, w) {
		}
		w.Stop()
		n.lose()
		code, _, _ := n.asPod(reader, http.MethodGet, secretPath+"/s")
		n.cache.mu.Lock()
		_, err = n.cache.get(ref{Kind: pods, Namespace: "default", Name: "a"})
		n.cache.mu.Unlock()
		if code != ask.code || (err == nil) != ask.kept {
			t.Errorf("%s: a Secret is answered with %d, the pod: %v", what, code, err)
		}
	}
}

func TestPodsAskAFewThingsAtATime(t *testing.T) {
	for query, most := range map[string]int{"": maxReads, "?watch=true": maxWatches} {
		const inDefault = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
		n := knowing(t)
		since, back, _ := n.reach.Away()
		ask := func(path string) *http.Response {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("Authorization", "Bearer "+reader)
			return n.cache.pod(parse(r, ""), r, since, back)
		}
		var open []io.Closer
		for range most {
			if answer := ask(servicePath); answer.StatusCode != http.StatusServiceUnavailable { // what is refused does not count
				t.Fatal(answer.Status)
			}
			answer := ask(inDefault + query)
			if answer.StatusCode != http.StatusOK {
				t.Fatalf("%q, when %d are open: %s", query, len(open), answer.Status)
			}
			open = append(open, answer.Body)
		}
		if answer := ask(inDefault + query); answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") == "" {
			t.Errorf("%q beyond: %s", query, answer.Status)
		}
		if code, _, _ := n.asPod(reader, http.MethodGet, secretPath+"/s"); (code == http.StatusOK) != (query != "") {
			t.Errorf("%q: other questions are answered with %d", query, code)
		}
		names(t, n.as(selfUser, mediaBin))
		_ = open[0].Close()
		if answer := ask(inDefault + query); answer.StatusCode != http.StatusOK {
			t.Errorf("%q, when one has ended: %s", query, answer.Status)
		}
	}
}

func TestTheListInUseLastIsTold(t *testing.T) {
	n := newNode(t)
	q := parse(httptest.NewRequest(http.MethodGet, slicesPath, http.NoBody), "")
	add := func(user, version string, used int64) {
		key := q.view()
		key.User = user
		v := n.cache.index.view(key, q.kind())
		v.version, v.used = version, used
	}
	for i, one := range []struct {
		user, version string
		used          int64
		want          string
	}{
		{"old", "900", 1, "old"},
		{"restored", "150", 9, "restored"}, // versions begin lower then
		{"newer", "151", 9, "newer"},
		{"older", "149", 9, "newer"},
		{"long ago", "999", 8, "newer"},
	} {
		add(one.user, one.version, one.used)
		if got := n.cache.covering(q, everybody).key.User; got != one.want {
			t.Errorf("of %d: that of %s", i+1, got)
		}
	}
}
