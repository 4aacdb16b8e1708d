package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	coordination "k8s.io/api/coordination/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/tunnel"
)

const (
	here     = "https://192.0.2.1:6443"
	path     = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/pi"
	protobuf = "application/vnd.kubernetes.protobuf"
)

// lab is a server with a lease, and the tunnel to it.
type lab struct {
	t     *testing.T
	way   http.RoundTripper
	lease *coordination.Lease

	user, inUse string
	refuses     error // of the tunnel
	deaf        bool  // words are refused
	answers     int   // status of the server to a whole lease; 200 when 0
	dead        error // of the connection that whole leases take
	slow        time.Duration

	words, wholes int
	others        int

	mu      sync.Mutex // guards doubted
	doubted []string
}

func newLab(t *testing.T) *lab {
	holder, seconds := "pi", int32(40)
	l := &lab{t: t, user: "system:node:pi", inUse: here, lease: &coordination.Lease{
		TypeMeta: meta.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"},
		ObjectMeta: meta.ObjectMeta{Name: "pi", Namespace: "kube-node-lease", UID: "u", ResourceVersion: "100",
			OwnerReferences: []meta.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "pi", UID: "n"}},
			ManagedFields:   []meta.ManagedFieldsEntry{{Manager: "skerry", Operation: "Update", FieldsType: "FieldsV1", FieldsV1: meta.NewFieldsV1(`{"f:spec":{}}`)}}},
		Spec: coordination.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &meta.MicroTime{Time: time.UnixMicro(1)}},
	}}
	l.way = Around(Config{Node: "pi", Caller: func(ctx context.Context) string { return l.user }, Line: l}, l)
	return l
}

func (l *lab) InUse() string { return l.inUse }
func (l *lab) Doubt(server string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubted = append(l.doubted, server)
}

func (l *lab) doubts() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.doubted
}

func (l *lab) next() string {
	v, _ := strconv.Atoi(l.lease.ResourceVersion)
	return strconv.Itoa(v + 7)
}
func (l *lab) at() time.Time { return l.lease.Spec.RenewTime.Time }
func (l *lab) counts() (w, full int) {
	w, full, l.words, l.wholes = l.words, l.wholes, 0, 0
	return w, full
}

// Say is the server's end of the tunnel.
func (l *lab) Say(_ context.Context, server string, word []byte) ([]byte, error) {
	l.words++
	beat, err := wire.ReadHeartbeat(word)
	if err != nil || server != here {
		l.t.Fatalf("%x to %s: %v", word, server, err)
	}
	if l.refuses != nil || l.deaf || strconv.FormatUint(beat.Version, 10) != l.lease.ResourceVersion {
		return nil, l.refuses
	}
	l.lease.ResourceVersion, l.lease.Spec.RenewTime = l.next(), &meta.MicroTime{Time: beat.RenewTime}
	version, _ := strconv.ParseUint(l.lease.ResourceVersion, 10, 64)
	return wire.Renewed(version), nil
}

// RoundTrip is the server.
func (l *lab) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPut || r.URL.Path != path || r.URL.Query().Has("dryRun") {
		l.others++
		return &http.Response{StatusCode: http.StatusTeapot, Body: http.NoBody}, nil
	}
	l.wholes++
	time.Sleep(l.slow)
	text, err := io.ReadAll(r.Body)
	if err != nil || int64(len(text)) != r.ContentLength {
		l.t.Fatalf("%d of %d bytes, %v", len(text), r.ContentLength, err)
	}
	if l.dead != nil {
		return nil, l.dead
	}
	if l.answers != 0 {
		return &http.Response{StatusCode: l.answers, Body: http.NoBody}, nil
	}
	wanted, err := read(text)
	if err != nil {
		l.t.Fatal(err)
	}
	wanted.ResourceVersion = l.next()
	l.lease = wanted
	body, err := write(l.lease, r.Header.Get("Content-Type"))
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {r.Header.Get("Content-Type")}}, Body: io.NopCloser(bytes.NewReader(body))}, err
}

// put sends a lease as the kubelet does, and gives what it is told.
func (l *lab) put(lease *coordination.Lease, media string) (int, *coordination.Lease) {
	l.t.Helper()
	text, err := write(lease, media)
	if err != nil {
		l.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(l.t.Context(), http.MethodPut, "https://127.0.0.1:6444"+path+"?timeout=10s", bytes.NewReader(text))
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Content-Type", media)
	answer, err := l.way.RoundTrip(r)
	if err != nil && errors.Is(err, l.dead) {
		return 0, nil
	}
	if err != nil {
		l.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return answer.StatusCode, nil
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	told, err := read(body)
	if err != nil {
		l.t.Fatal(err)
	}
	return answer.StatusCode, told
}

// renewed is a lease some time later.
func renewed(lease *coordination.Lease, second int64) *coordination.Lease {
	next := lease.DeepCopy()
	next.Spec.RenewTime = &meta.MicroTime{Time: time.Unix(second, 123456789)}
	return next
}

func TestOnlyTheTimeGoes(t *testing.T) {
	for _, media := range []string{protobuf, "application/json"} {
		l := newLab(t)
		_, lease := l.put(renewed(l.lease, 10), media)
		if words, wholes := l.counts(); words != 0 || wholes != 1 {
			t.Errorf("at first %d words and %d leases", words, wholes)
		}
		for second := int64(20); second < 60; second += 10 {
			_, lease = l.put(renewed(lease, second), media)
			if words, wholes := l.counts(); words != 1 || wholes != 0 {
				t.Errorf("%s: %d words and %d leases", media, words, wholes)
			}
			if at := time.Unix(second, 123456000); !l.at().Equal(at) || lease.ResourceVersion != l.lease.ResourceVersion {
				t.Errorf("%s: the server has %v of %s, the kubelet %s", media, l.at(), l.lease.ResourceVersion, lease.ResourceVersion)
			}
			if want := renewed(l.lease, second); !reflect.DeepEqual(lease.ObjectMeta, want.ObjectMeta) || *lease.Spec.HolderIdentity != "pi" {
				t.Errorf("%s: the kubelet is told %v", media, lease)
			}
		}
	}
}

func TestWhatIsMoreThanTheTimeGoesInFull(t *testing.T) {
	for what, change := range map[string]func(*coordination.Lease){
		"another duration":  func(l *coordination.Lease) { *l.Spec.LeaseDurationSeconds = 41 },
		"another holder":    func(l *coordination.Lease) { *l.Spec.HolderIdentity = "other" },
		"another version":   func(l *coordination.Lease) { l.ResourceVersion = "1" },
		"no version":        func(l *coordination.Lease) { l.ResourceVersion = "" },
		"another owner":     func(l *coordination.Lease) { l.OwnerReferences[0].UID = "m" },
		"no time":           func(l *coordination.Lease) { l.Spec.RenewTime = nil },
		"a label":           func(l *coordination.Lease) { l.Labels = map[string]string{"a": "b"} },
		"another object":    func(l *coordination.Lease) { l.UID = "v" },
		"other transitions": func(l *coordination.Lease) { l.Spec.LeaseTransitions = new(int32) },
	} {
		l := newLab(t)
		_, lease := l.put(renewed(l.lease, 10), protobuf)
		l.counts()
		next := renewed(lease, 20)
		change(next)
		l.put(next, protobuf)
		if words, wholes := l.counts(); words != 0 || wholes != 1 {
			t.Errorf("%s: %d words and %d leases", what, words, wholes)
		}
	}
}

func TestWithoutAnAnswerAllGoes(t *testing.T) {
	for what, c := range map[string]struct {
		spoil func(*lab)
		doubt bool
	}{
		"no tunnel":                  {func(l *lab) { l.refuses = tunnel.ErrNoTunnel }, false},
		"a tunnel without an answer": {func(l *lab) { l.refuses = tunnel.ErrSilent }, true},
		"a caller without patience":  {func(l *lab) { l.refuses = context.DeadlineExceeded }, false},
		"a server that refuses":      {func(l *lab) { l.deaf = true }, false},
		"a lease of another version": {func(l *lab) { l.lease.ResourceVersion = "200" }, false},
	} {
		l := newLab(t)
		_, lease := l.put(renewed(l.lease, 10), protobuf)
		l.counts()
		c.spoil(l)
		if _, lease = l.put(renewed(lease, 20), protobuf); lease.ResourceVersion != l.lease.ResourceVersion {
			t.Errorf("%s: the kubelet is told %s", what, lease.ResourceVersion)
		}
		if words, wholes := l.counts(); words != 1 || wholes != 1 || (len(l.doubts()) > 0) != c.doubt {
			t.Errorf("%s: %d words and %d leases, doubted is %v", what, words, wholes, l.doubts())
		}
		l.refuses, l.deaf = nil, false
		l.put(renewed(lease, 30), protobuf)
		if words, wholes := l.counts(); words != 1 || wholes != 0 {
			t.Errorf("after %s: %d words and %d leases", what, words, wholes)
		}
	}
}

// TestTheServersRefusalCounts: a lease that is gone, or another one, is for the kubelet to make or to read.
func TestTheServersRefusalCounts(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusConflict, http.StatusUnauthorized, http.StatusForbidden} {
		l := newLab(t)
		_, lease := l.put(renewed(l.lease, 10), protobuf)
		l.deaf, l.answers = true, status
		if got, _ := l.put(renewed(lease, 20), protobuf); got != status {
			t.Errorf("%d is told as %d", status, got)
		}
		l.deaf = false
		l.counts()
		l.put(renewed(lease, 30), protobuf)
		if words, wholes := l.counts(); words != 0 || wholes != 1 {
			t.Errorf("after %d: %d words and %d leases", status, words, wholes)
		}
	}
}

// TestALivingTunnelIsUsed: while whole leases reach no server, the next word may.
func TestALivingTunnelIsUsed(t *testing.T) {
	for what, spoil := range map[string]func(*lab){
		"no connection":   func(l *lab) { l.dead = errors.New("dead") },
		"a lost one":      func(l *lab) { l.answers = http.StatusBadGateway },
		"nobody in reach": func(l *lab) { l.answers = http.StatusServiceUnavailable },
	} {
		l := newLab(t)
		_, lease := l.put(renewed(l.lease, 10), protobuf)
		l.refuses = tunnel.ErrSilent
		spoil(l)
		if _, told := l.put(renewed(lease, 20), protobuf); told != nil {
			t.Errorf("%s: the kubelet is told %v", what, told)
		}
		l.refuses = nil
		l.counts()
		if status, _ := l.put(renewed(lease, 21), protobuf); status != http.StatusOK || !l.at().Equal(time.Unix(21, 123456000)) {
			t.Errorf("%s: then %d, and the server has %v", what, status, l.at())
		}
		if words, wholes := l.counts(); words != 1 || wholes != 0 {
			t.Errorf("%s: %d words and %d leases", what, words, wholes)
		}
	}
}

func TestWhoseLeaseAndWhichServer(t *testing.T) {
	l := newLab(t)
	_, lease := l.put(renewed(l.lease, 10), protobuf)
	l.counts()
	l.inUse = "" // the one in use is on this machine, or none is
	_, lease = l.put(renewed(lease, 20), protobuf)
	if words, wholes := l.counts(); words != 0 || wholes != 1 {
		t.Errorf("without a server: %d words and %d leases", words, wholes)
	}
	l.inUse, l.user = here, "system:kube-proxy"
	l.put(renewed(lease, 30), protobuf)
	if words, wholes := l.counts(); words != 0 || wholes != 1 {
		t.Errorf("from somebody else: %d words and %d leases", words, wholes)
	}
	for _, other := range []struct{ method, target string }{
		{http.MethodGet, path}, {http.MethodDelete, path}, {http.MethodPut, path + "/status"}, {http.MethodPut, path + "?dryRun=All"}, {http.MethodPut, strings.Replace(path, "/pi", "/other", 1)},
	} {
		r, err := http.NewRequestWithContext(t.Context(), other.method, "https://127.0.0.1:6444"+other.target, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := l.way.RoundTrip(r); err != nil || answer.StatusCode != http.StatusTeapot {
			t.Errorf("%v: %v, %v", other, answer, err)
		}
	}
	if l.others != 5 {
		t.Errorf("%d requests passed", l.others)
	}
}

func TestASlowServerIsDoubted(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.slow = patience + 200*time.Millisecond
	l.put(renewed(l.lease, 10), protobuf)
	if got := l.doubts(); len(got) != 1 || got[0] != here {
		t.Errorf("doubted is %v", got)
	}
}

func TestWhatIsNoLeaseIsTheServersToRefuse(t *testing.T) {
	l := newLab(t)
	_, lease := l.put(renewed(l.lease, 10), protobuf)
	l.answers = http.StatusBadRequest
	for _, text := range []string{"", "{", `{"kind":"Pod","apiVersion":"v1"}`, "k8s\x00garbage"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://127.0.0.1:6444"+path, io.NopCloser(strings.NewReader(text)))
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := l.way.RoundTrip(r); err != nil || answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %v, %v", text, answer, err)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://127.0.0.1:6444"+path, strings.NewReader(strings.Repeat("x", maxLease+1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.way.RoundTrip(r); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("one that has no end: %v", err)
	}
	_ = lease
}
