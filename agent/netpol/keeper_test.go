package netpol

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/skerry-io/skerry/internal/host"
	"github.com/skerry-io/skerry/internal/run"
)

// bench is a keeper on a cluster that is a fake and a kernel that only listens.
type bench struct {
	*fake.Clientset
	config Config
	rows   run.Rows
	cancel context.CancelFunc
	ended  chan error

	flushed chan struct{} // somebody takes our tables away

	mu      sync.Mutex // guards what follows
	scripts []string
	broken  error // what the kernel says
}

func newBench(t *testing.T) *bench {
	b := &bench{Clientset: fake.NewClientset(), flushed: make(chan struct{})}
	dir := t.TempDir()
	b.config = Config{Node: "pi", Bridge: "cni0", Dir: filepath.Join(dir, "run"), Leases: filepath.Join(dir, "leases"), Marker: filepath.Join(dir, "agent", "marker"),
		Apply: func(host.Change) error { return nil }, Rows: &b.rows, Log: slog.New(slog.DiscardHandler)}
	must(t, os.MkdirAll(b.config.Leases, 0o755))
	return b
}

// start runs the keeper until the test ends or stop is called.
func (b *bench) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel, b.ended = cancel, make(chan error, 1)
	k := newKernel(b.config)
	k.bridged = func(bool) bool { return true }
	k.watch = func(ctx context.Context, lost func()) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-b.flushed:
				lost()
			}
		}
	}
	k.run = func(_ context.Context, text string) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.scripts = append(b.scripts, text)
		return b.broken
	}
	ready := make(chan struct{})
	go func() { b.ended <- work(ctx, b.config, b.Clientset, k, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() { b.stop(t) })
}

func (b *bench) stop(t *testing.T) {
	b.cancel()
	select {
	case err := <-b.ended:
		if err != nil {
			t.Errorf("it ends with %v", err)
		}
		b.ended <- nil
	case <-time.After(10 * time.Second):
		t.Error("it does not end")
	}
}

func (b *bench) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.scripts, "\n")
}

func (b *bench) say(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func (b *bench) state(name string) string {
	for _, d := range b.rows.Details() {
		if d.Name == name {
			return d.State
		}
	}
	return ""
}

func (b *bench) policy(t *testing.T, namespace, spec string) {
	t.Helper()
	_, err := b.NetworkingV1().NetworkPolicies(namespace).Create(t.Context(), policyOf(t, namespace, "p", spec), meta.CreateOptions{})
	must(t, err)
}

func (b *bench) pod(t *testing.T, namespace, name, uid string, ips ...string) {
	t.Helper()
	p := &core.Pod{ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid), Labels: map[string]string{"app": name}}, Spec: core.PodSpec{NodeName: "pi"}}
	for _, ip := range ips {
		p.Status.PodIPs = append(p.Status.PodIPs, core.PodIP{IP: ip})
	}
	_, err := b.CoreV1().Pods(namespace).Create(t.Context(), p, meta.CreateOptions{})
	must(t, err)
}

// ask does what the plugin does.
func (b *bench) ask(t *testing.T, q question) <-chan string {
	t.Helper()
	conn, err := net.Dial("unix", Socket(b.config.Dir))
	must(t, err)
	must(t, json.NewEncoder(conn).Encode(q))
	said := make(chan string, 1)
	go func() {
		defer conn.Close()
		var a answer
		if err := json.NewDecoder(conn).Decode(&a); err != nil {
			a.Error = err.Error()
		}
		said <- a.Error
	}()
	return said
}

func asks(container, namespace, name, uid string, ips ...string) question {
	q := question{fact: fact{Container: container, Namespace: namespace, Name: name, UID: uid}}
	for _, ip := range ips {
		q.Addresses = append(q.Addresses, netip.MustParseAddr(ip))
	}
	return q
}

func soonSays(t *testing.T, said <-chan string, want string) {
	t.Helper()
	select {
	case text := <-said:
		if text != want && (want == "" || !strings.Contains(text, want)) {
			t.Fatalf("the answer is %q, not %q", text, want)
		}
	case <-time.After(patience + 5*time.Second):
		t.Fatal("no answer")
	}
}

func silent(t *testing.T, said <-chan string) {
	t.Helper()
	select {
	case text := <-said:
		t.Fatalf("the answer is there already: %q", text)
	case <-time.After(200 * time.Millisecond):
	}
}

func (b *bench) watched(resource string) bool {
	for _, a := range b.Actions() {
		if a.GetVerb() == "watch" && a.GetResource().Resource == resource {
			return true
		}
	}
	return false
}

func TestWithoutPoliciesNothingIsDoneAndNobodyWaits(t *testing.T) {
	b := newBench(t)
	b.start(t)
	soonSays(t, b.ask(t, asks("c1", "one", "a", "u1", "10.42.0.2")), "")
	eventually(t, "it says so", func() bool { return b.state("rules") == "none needed" })
	if b.text() != "" || b.watched("pods") || b.watched("namespaces") {
		t.Errorf("scripts %q, actions %v", b.text(), b.Actions())
	}
	if _, err := os.Stat(b.config.Marker); err == nil {
		t.Error("the marker is there")
	}
}

func TestAPodWaitsForItsRules(t *testing.T) {
	b := newBench(t)
	b.policy(t, "one", `{podSelector: {matchLabels: {app: a}}}`)
	b.start(t)
	eventually(t, "the marker is there", func() bool { _, err := os.Stat(b.config.Marker); return err == nil })
	said := b.ask(t, asks("c1", "one", "a", "u1", "10.42.0.2"))
	silent(t, said) // its labels are not known yet
	b.pod(t, "one", "a", "other")
	silent(t, said) // that is an older one of the same name
	must(t, b.CoreV1().Pods("one").Delete(t.Context(), "a", meta.DeleteOptions{}))
	b.say(errors.New("no"))
	b.pod(t, "one", "a", "u1")
	silent(t, said) // its rules do not stand
	if b.state("rules") != "trying" {
		t.Errorf("the state is %q", b.state("rules"))
	}
	b.say(nil)
	soonSays(t, said, "")
	if !strings.Contains(b.text(), "add element inet skerry-netpol ingress4 { 10.42.0.2 : jump ingress4-") {
		t.Errorf("scripts are\n%s", b.text())
	}
	soonSays(t, b.ask(t, asks("c2", "two", "b", "u2", "10.42.0.3")), "") // no policy is about that namespace
}

func TestAPodOutOfAFileIsKnownByTheNodesUID(t *testing.T) {
	b := newBench(t)
	b.policy(t, "one", `{podSelector: {}}`)
	b.start(t)
	_, err := b.CoreV1().Pods("one").Create(t.Context(), &core.Pod{ObjectMeta: meta.ObjectMeta{Namespace: "one", Name: "static-pi", UID: "api", Annotations: map[string]string{hashAnnotation: "file"}},
		Spec: core.PodSpec{NodeName: "pi"}}, meta.CreateOptions{})
	must(t, err)
	soonSays(t, b.ask(t, asks("c1", "one", "static-pi", "file", "10.42.0.2")), "")
}

func TestRulesComeAndGoWithThePolicies(t *testing.T) {
	b := newBench(t)
	b.start(t)
	b.pod(t, "one", "a", "u1", "10.42.0.2", "fd00:42::2")
	b.policy(t, "one", `{podSelector: {}}`)
	eventually(t, "rules stand", func() bool { return b.state("rules") == "in force" })
	if text := b.text(); !strings.Contains(text, "10.42.0.2 : jump") || !strings.Contains(text, "fd00:42::2 : jump") {
		t.Errorf("scripts are\n%s", text)
	}
	must(t, b.NetworkingV1().NetworkPolicies("one").Delete(t.Context(), "p", meta.DeleteOptions{}))
	eventually(t, "none stands", func() bool { return b.state("rules") == "none needed" })
	if !strings.HasSuffix(b.text(), removal("inet")) {
		t.Errorf("scripts are\n%s", b.text())
	}
	if _, err := os.Stat(b.config.Marker); err == nil {
		t.Error("the marker is there")
	}
}

func TestAPodIsPoliciedAsLongAsItRuns(t *testing.T) {
	b := newBench(t)
	b.policy(t, "one", `{podSelector: {}}`)
	b.pod(t, "one", "a", "u1")
	b.start(t)
	soonSays(t, b.ask(t, asks("c1", "one", "a", "u1", "10.42.0.2")), "")
	must(t, b.CoreV1().Pods("one").Delete(t.Context(), "a", meta.DeleteOptions{})) // by force: its containers run on
	b.pod(t, "one", "b", "u2", "10.42.0.3")
	eventually(t, "the other is there", func() bool { return strings.Contains(b.text(), "10.42.0.3 : jump") })
	if strings.Contains(b.text(), "delete element inet skerry-netpol ingress4 { 10.42.0.2") {
		t.Fatalf("its rules are gone:\n%s", b.text())
	}
	soonSays(t, b.ask(t, question{Gone: true, fact: fact{Container: "c1"}}), "")
	eventually(t, "its rules are gone", func() bool {
		return strings.Contains(b.text(), "delete element inet skerry-netpol ingress4 { 10.42.0.2")
	})
}

func TestWhatWasToldOutlivesTheProcess(t *testing.T) {
	b := newBench(t)
	b.policy(t, "one", `{podSelector: {}}`)
	b.pod(t, "one", "a", "u1") // its status has no address yet
	b.start(t)
	soonSays(t, b.ask(t, asks("c1", "one", "a", "u1", "10.42.0.2")), "")
	soonSays(t, b.ask(t, asks("c2", "two", "b", "u2", "10.42.0.3")), "") // its address was given back while nobody listened
	b.stop(t)
	must(t, os.WriteFile(filepath.Join(b.config.Leases, "10.42.0.2"), []byte("c1"), 0o600))
	must(t, os.WriteFile(filepath.Join(told(b.config.Dir), "torn"), []byte("{"), 0o600))
	b.scripts = nil
	b.config.Stands = true
	b.start(t)
	eventually(t, "its rules stand", func() bool { return strings.Contains(b.text(), "10.42.0.2 : jump") })
	if text := b.text(); !strings.HasPrefix(text, removal("bridge")) || !strings.Contains(text, "delete table inet skerry-netpol\nadd table inet skerry-netpol\n") {
		t.Errorf("what an earlier run left is not replaced at once:\n%s", text)
	}
	if left, _ := os.ReadDir(told(b.config.Dir)); len(left) != 1 {
		t.Errorf("kept are %v", left)
	}
}

func TestANodeThatKnowsOfPoliciesWaitsForThem(t *testing.T) {
	b := newBench(t)
	b.config.patience, b.config.unsure = time.Second, 300*time.Millisecond
	must(t, os.MkdirAll(filepath.Dir(b.config.Marker), 0o755))
	for _, marked := range []bool{false, true} {
		b.PrependReactor("list", "networkpolicies", away)
		if marked {
			must(t, os.WriteFile(b.config.Marker, nil, 0o600))
		}
		b.start(t)
		began := time.Now()
		said := b.ask(t, asks("c1", "one", "a", "u1", "10.42.0.2"))
		if marked {
			soonSays(t, said, "not in force yet")
		} else {
			soonSays(t, said, "")
		}
		if took := time.Since(began); took < b.config.unsure-50*time.Millisecond || marked && took < b.config.patience-50*time.Millisecond {
			t.Errorf("marked %t: it takes %v", marked, took)
		}
		b.stop(t)
	}
}

func TestAPolicyThatCannotBeReadIsNamed(t *testing.T) {
	b := newBench(t)
	b.policy(t, "one", `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: everywhere}}]}]}`)
	b.start(t)
	eventually(t, "it is named", func() bool { return b.state("one/p") == "in part" })
	p := &networking.NetworkPolicy{}
	*p = *policyOf(t, "one", "p", `{podSelector: {}}`)
	_, err := b.NetworkingV1().NetworkPolicies("one").Update(t.Context(), p, meta.UpdateOptions{})
	must(t, err)
	eventually(t, "it is not named any more", func() bool { return b.state("one/p") == "" && b.state("rules") == "in force" })
}

func TestRubbishAtTheSocketHarmsNobody(t *testing.T) {
	b := newBench(t)
	b.start(t)
	for _, text := range []string{"", "hello\n", `{"container":"../x","addresses":["10.42.0.2"]}` + "\n", `{"addresses":["x"]}` + "\n"} {
		conn, err := net.Dial("unix", Socket(b.config.Dir))
		must(t, err)
		_, err = conn.Write([]byte(text))
		must(t, err)
		conn.Close()
	}
	soonSays(t, b.ask(t, asks("../c", "one", "a", "u", "10.42.0.2")), "no container's ID")
	soonSays(t, b.ask(t, asks("c1", "one", "a", "u1", "10.42.0.2")), "")
	if info, err := os.Stat(Socket(b.config.Dir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
}

func TestTheFirstListMayBeForbiddenForAMoment(t *testing.T) {
	b := newBench(t)
	var mu sync.Mutex
	left := 3
	b.PrependReactor("list", "networkpolicies", forbidden(&mu, &left))
	b.start(t)
	soonSays(t, b.ask(t, asks("c1", "one", "a", "u1", "10.42.0.2")), "")
	eventually(t, "it goes on", func() bool { return b.state("rules") == "none needed" })
}

func TestSwitchedOffWhileItRuns(t *testing.T) {
	b := newBench(t)
	off := make(chan struct{})
	b.config.Off = off
	b.policy(t, "one", `{podSelector: {}}`)
	b.pod(t, "one", "a", "u1", "10.42.0.2")
	b.start(t)
	eventually(t, "rules stand", func() bool { return b.state("rules") == "in force" })
	said := b.ask(t, asks("c9", "one", "nobody", "u9", "10.42.0.9"))
	silent(t, said)
	close(off)
	soonSays(t, said, "")
	eventually(t, "none stands", func() bool { return b.state("rules") == "none needed" })
	soonSays(t, b.ask(t, asks("c8", "one", "nobody", "u8", "10.42.0.8")), "")
}

func TestRulesThatSomebodyTookAwayComeBack(t *testing.T) {
	b := newBench(t)
	b.policy(t, "one", `{podSelector: {}}`)
	b.pod(t, "one", "a", "u1", "10.42.0.2")
	b.start(t)
	eventually(t, "rules stand", func() bool { return strings.Count(b.text(), "10.42.0.2 : jump") == 1 })
	b.flushed <- struct{}{}
	eventually(t, "they stand again", func() bool { return strings.Count(b.text(), "10.42.0.2 : jump") == 2 })
}
