package heartbeat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"

	"github.com/skerry-io/skerry/internal/wire"
)

// api is an API server that answers as it is told, and notes what it was asked.
type api struct {
	status int
	answer string
	asked  *http.Request
	body   string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	a.asked, a.body = r, string(text)
	if a.status == 0 {
		<-r.Context().Done()
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.answer)
}

func (a *api) renewals(t *testing.T) *Renewals {
	t.Helper()
	web := httptest.NewServer(a)
	t.Cleanup(web.Close)
	client, err := coordination.NewForConfig(&rest.Config{Host: web.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return New(func() (rest.Interface, error) { return client.RESTClient(), nil }, slog.New(slog.DiscardHandler))
}

func beat() wire.Heartbeat {
	return wire.Heartbeat{RenewTime: time.Date(2026, 11, 21, 18, 0, 0, 123456000, time.UTC), Version: 77}
}

const renewedLease = `{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"pi","resourceVersion":"81"}}`

// TestTheNodeItselfRenewsItsLease: what is asked is asked in its name, so that its rights decide, and is nothing but the time.
func TestTheNodeItselfRenewsItsLease(t *testing.T) {
	a := &api{status: http.StatusOK, answer: renewedLease}
	answer := a.renewals(t).Hear(t.Context(), "pi", beat().Word())
	if version, renewed := wire.ReadRenewed(answer); !renewed || version != 81 {
		t.Errorf("the answer is %x", answer)
	}
	if a.asked.Method != http.MethodPatch || a.asked.URL.Path != "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/pi" || a.asked.URL.RawQuery != "" ||
		a.asked.Header.Get("Content-Type") != "application/merge-patch+json" {
		t.Errorf("asked was %s %s, %v", a.asked.Method, a.asked.URL, a.asked.Header)
	}
	if user, groups := a.asked.Header.Values("Impersonate-User"), a.asked.Header.Values("Impersonate-Group"); fmt.Sprint(user, groups) != "[system:node:pi] [system:nodes]" {
		t.Errorf("asked has %v of %v", user, groups)
	}
	var got any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	if want := "map[metadata:map[resourceVersion:77] spec:map[renewTime:2026-11-21T18:00:00.123456Z]]"; fmt.Sprint(got) != want {
		t.Errorf("the change is %v", got)
	}
}

func TestWhatIsRefused(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusConflict, http.StatusForbidden, http.StatusServiceUnavailable} {
		a := &api{status: status, answer: `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Because"}`}
		if answer := a.renewals(t).Hear(t.Context(), "pi", beat().Word()); len(answer) > 0 {
			t.Errorf("%d: the answer is %x", status, answer)
		}
	}
	a := &api{status: http.StatusOK, answer: renewedLease}
	for what, c := range map[string]struct {
		node string
		word []byte
	}{"garbage": {"pi", []byte("garbage")}, "half a word": {"pi", beat().Word()[:5]}, "a name that leads elsewhere": {"../leases", beat().Word()}} {
		if answer := a.renewals(t).Hear(t.Context(), c.node, c.word); len(answer) > 0 || a.asked != nil {
			t.Errorf("%s: the answer is %x, asked was %v", what, answer, a.asked)
		}
	}
	none := New(func() (rest.Interface, error) { return nil, errors.New("no") }, slog.New(slog.DiscardHandler))
	if answer := none.Hear(t.Context(), "pi", beat().Word()); len(answer) > 0 {
		t.Errorf("without a client the answer is %x", answer)
	}
}

// TestAnAPIThatHangs: the node has to hear in time that it must send the whole lease.
func TestAnAPIThatHangs(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if answer := (&api{}).renewals(t).Hear(ctx, "pi", beat().Word()); len(answer) > 0 || time.Since(began) > 2*time.Second {
		t.Errorf("after %s the answer is %x", time.Since(began), answer)
	}
}
