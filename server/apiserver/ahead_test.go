package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

func TestWatchesThatBeginAfterWhatTheStoreHasAreRefused(t *testing.T) {
	asked, now := 0, uint64(100)
	var broken error
	a := newAhead(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }),
		func(context.Context) (uint64, error) { asked++; return now, broken },
		func(group, version string) bool { return group != "elsewhere.io" && version == "v1" }, false)
	by := func(who *user.DefaultInfo, from, verb, group, query string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/apis/"+group+"/v1/pods?"+query, nil)
		r.RemoteAddr = from + ":4711"
		info := &request.RequestInfo{IsResourceRequest: true, Verb: verb, APIGroup: group, APIVersion: "v1", Resource: "pods"}
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r.WithContext(request.WithUser(request.WithRequestInfo(r.Context(), info), who)))
		return w
	}
	node := &user.DefaultInfo{Name: "system:node:far", Groups: []string{user.NodesGroup}}
	ask := func(verb, group, query string) *httptest.ResponseRecorder {
		return by(node, "192.0.2.1", verb, group, query)
	}
	for _, c := range []struct {
		verb, group, query string
		refused            bool
	}{
		{"watch", "", "resourceVersion=101", true},
		{"watch", "apps", "resourceVersion=18446744073709551615", true},
		{"watch", "", "resourceVersion=100", false},
		{"watch", "", "resourceVersion=7", false},
		{"watch", "", "resourceVersion=0", false},
		{"watch", "", "", false},
		{"watch", "", "resourceVersion=x", false},
		{"watch", "elsewhere.io", "resourceVersion=101", false},
		{"list", "", "resourceVersion=101", true},
		{"list", "", "resourceVersion=100", false},
		{"get", "", "resourceVersion=101", false},
	} {
		w := ask(c.verb, c.group, c.query)
		if c.refused != (w.Code == http.StatusGone) || !c.refused && w.Code != http.StatusTeapot {
			t.Errorf("%s %s %s: %d %s", c.verb, c.group, c.query, w.Code, w.Body)
		}
		var said meta.Status
		if c.refused && (json.Unmarshal(w.Body.Bytes(), &said) != nil || said.Reason != meta.StatusReasonExpired) {
			t.Errorf("%s: it says %s", c.query, w.Body)
		}
	}
	if asked != 3 {
		t.Errorf("the store was asked %d times; what is known to be there needs no question", asked)
	}
	a.alone = true
	for _, c := range []struct {
		verb, query string
		refused     bool
	}{
		{"watch", "resourceVersion=105", true}, // nobody can have told him
		{"list", "fieldSelector=a", false},
		{"watch", "resourceVersion=105", true}, // this is something else
		{"list", "", false},
		{"watch", "resourceVersion=105", false},
		{"watch", "labelSelector=b&resourceVersion=100", false}, // it was there when the process began
		{"watch", "labelSelector=b&resourceVersion=106", false}, // that watch goes on
	} {
		now = 110
		if w := ask(c.verb, "late.io", c.query); c.refused != (w.Code == http.StatusGone) {
			t.Errorf("alone, %s %s: %d %s", c.verb, c.query, w.Code, w.Body)
		}
	}
	proxy, admin := &user.DefaultInfo{Name: user.KubeProxy}, &user.DefaultInfo{Name: "system:admin", Groups: []string{"system:masters"}}
	for _, c := range []struct {
		who        *user.DefaultInfo
		from, verb string
		refused    bool
	}{
		{node, "198.51.100.7", "watch", false}, // it has another address now, and is the same node
		{admin, "192.0.2.1", "watch", false},   // he may have written what has that version
		{proxy, "192.0.2.1", "list", false},
		{proxy, "192.0.2.1", "watch", false},
		{proxy, "192.0.2.2", "watch", true}, // another node's
	} {
		if w := by(c.who, c.from, c.verb, "late.io", "resourceVersion=105"); c.refused != (w.Code == http.StatusGone) {
			t.Errorf("alone, %s of %s from %s: %d %s", c.verb, c.who.Name, c.from, w.Code, w.Body)
		}
	}
	broken, a.alone = errors.New("it is away"), false
	if w := ask("watch", "", "resourceVersion=200"); w.Code != http.StatusTeapot {
		t.Errorf("a store that cannot be asked: %d", w.Code)
	}
}
