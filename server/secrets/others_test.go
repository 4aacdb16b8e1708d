package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// pair is two servers of a cluster, each with a disk of its own.
type pair struct {
	*site
	all  [2]*Secrets
	urls [2]*httptest.Server
	dirs [2]string
	// names are those of all servers, whether they run or not
	names []string

	mu     sync.Mutex // guards what the servers share
	shared []byte
	base   [2][]byte // what each has seen of that
	first  bool      // of two that change it at the same moment, the first counts
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{site: newSite(t), dirs: [2]string{t.TempDir(), t.TempDir()}, names: []string{"server-0", "server-1"}}
	for i := range p.all {
		p.urls[i] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), pause/10) // as the supervisor's routes have one
			defer cancel()
			hash, _ := p.all[i].Loaded(ctx, r.URL.Query().Get("hash"))
			_ = json.NewEncoder(w).Encode(wire.SecretsLoaded{Hash: hash, Name: p.all[i].Name()})
		}))
		t.Cleanup(p.urls[i].Close)
	}
	p.start(t, 0)
	text, err := os.ReadFile(p.all[0].config.File)
	if err != nil {
		t.Fatal(err)
	}
	p.shared, p.base = text, [2][]byte{text, text}
	if err := errors.Join(os.MkdirAll(p.dirs[1]+"/cred", 0o700), os.WriteFile(p.dirs[1]+"/cred/encryption-config.json", text, 0o600)); err != nil {
		t.Fatal(err)
	}
	p.start(t, 1)
	return p
}

func (p *pair) start(t *testing.T, i int) {
	t.Helper()
	p.dir = p.dirs[i]
	p.all[i] = p.open(t, func(c *Config) {
		c.Name = fmt.Sprintf("server-%d", i)
		c.Others = func(context.Context) ([]Other, error) {
			return []Other{{URL: p.urls[1-i].URL, Client: p.urls[1-i].Client()}}, nil
		}
		c.All = func(context.Context) ([]string, error) { return p.names, nil }
		c.Share = func(context.Context) error { return p.share(i) }
	})
}

// share gives the file of one server to the other; what both have changed is the last one's, as in package shared, or the first one's.
func (p *pair) share(from int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	text, err := os.ReadFile(p.all[from].config.File)
	if err != nil || string(text) == string(p.shared) {
		return err
	}
	if string(p.base[from]) != string(p.shared) && p.first {
		p.base[from] = p.shared
		return os.WriteFile(p.all[from].config.File, p.shared, 0o600)
	}
	p.shared, p.base[from] = text, text
	other, err := os.ReadFile(p.all[1-from].config.File)
	if err != nil || string(other) != string(p.base[1-from]) {
		return err // it is about to share a change of its own
	}
	p.base[1-from] = text
	err = os.WriteFile(p.all[1-from].config.File, text, 0o600)
	go func() { _ = p.all[1-from].Reload() }()
	return err
}

func TestTwoServersRotateTogether(t *testing.T) {
	for range 2 {
		for _, first := range []bool{true, false} {
			p := newPair(t)
			p.first = first
			p.rotateTogether(t)
		}
	}
}

func (p *pair) rotateTogether(t *testing.T) {
	p.fill(t, p.all[0], page)
	for _, s := range p.all {
		defer running(t, s)()
	}
	stops := []func(){p.write(t, func() *Secrets { return p.all[0] }), p.write(t, func() *Secrets { return p.all[1] })}
	var rotating sync.WaitGroup
	var done, waited atomic.Int32
	for _, s := range p.all { // both at the same moment
		rotating.Go(func() {
			err := s.Rotate(t.Context(), func(wire.SecretsProgress) {})
			var told *fault.Fault
			switch {
			case err == nil:
				done.Add(1)
			case errors.As(err, &told) && strings.Contains(told.Cure(), "wait until it is done"):
				waited.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	rotating.Wait()
	if done.Load() == 0 {
		t.Errorf("%d waited for each other", waited.Load())
	}
	for _, stop := range stops {
		stop()
	}
	for _, s := range p.all { // until each has heard what the other did last
		if err := s.everywhere(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, s := range p.all {
		k, hash := s.current()
		if len(k.all) != 1 {
			t.Errorf("the keys are %q", k.names())
		}
		p.check(t, s, k.writes())
		if status, err := s.Status(t.Context()); err != nil || len(status.Servers) != 1 || !status.Servers[0].Same || status.Hash != hash {
			t.Errorf("%+v, %v", status, err)
		}
	}
}

func TestAServerThatIsAwayHoldsTheRotation(t *testing.T) {
	p := newPair(t)
	p.fill(t, p.all[0], 3)
	running(t, p.all[0])
	p.urls[1].Close()
	var told *fault.Fault
	err := p.all[0].Rotate(t.Context(), func(wire.SecretsProgress) {})
	if !errors.As(err, &told) || !strings.Contains(err.Error(), p.urls[1].URL) || !strings.Contains(told.Cure(), "goes on") {
		t.Errorf("got %v", err)
	}
	if k, _ := p.all[0].current(); len(k.all) != 1 {
		t.Errorf("a rotation that cannot end was begun: %q", k.names())
	}
	if status, err := p.all[0].Status(t.Context()); err != nil || status.Servers[0].Same || status.Servers[0].Trouble == "" {
		t.Errorf("%+v, %v", status, err)
	}
}

func TestAServerThatWasNotSeenLatelyHoldsTheRotation(t *testing.T) {
	p := newPair(t)
	p.names = append(p.names, "server-2") // its entry is over, and its process may come back with the keys of now
	running(t, p.all[0])
	_, before := p.all[0].current()
	var told *fault.Fault
	err := p.all[0].Rotate(t.Context(), func(wire.SecretsProgress) {})
	if !errors.As(err, &told) || !strings.Contains(err.Error(), "server-2") || !strings.Contains(told.Cure(), "delete its node") {
		t.Errorf("got %v", err)
	}
	if _, now := p.all[0].current(); now != before {
		t.Error("the keys were changed")
	}
}

func TestServersThatCannotBeFoundHoldTheRotation(t *testing.T) {
	p := newPair(t)
	p.all[0].config.Others = func(context.Context) ([]Other, error) { return nil, errors.New("no list") }
	_, before := p.all[0].current()
	running(t, p.all[0])
	var told *fault.Fault
	err := p.all[0].Rotate(t.Context(), func(wire.SecretsProgress) {})
	if !errors.As(err, &told) || !strings.Contains(err.Error(), "no list") || told.Cure() == "" {
		t.Errorf("got %v", err)
	}
	if _, now := p.all[0].current(); now != before {
		t.Error("the keys were changed")
	}
}

func TestAServerThatRefusesIsTold(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"an older release": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not found", http.StatusNotFound) },
		"nonsense":         func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) },
	} {
		web := httptest.NewServer(answer)
		if _, err := (Other{web.URL, web.Client()}).loaded(t.Context(), func() string { return "x" }); err == nil {
			t.Errorf("%s: no error", name)
		}
		web.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), pause/2)
	defer cancel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"hash":"other"}`)) }))
	defer web.Close()
	if _, err := (Other{web.URL, web.Client()}).loaded(ctx, func() string { return "x" }); err == nil || !strings.Contains(err.Error(), "other keys") {
		t.Errorf("got %v", err)
	}
}

func TestWhoWaitsForKeysHearsOfThem(t *testing.T) {
	s := newSite(t).open(t, nil)
	k, _ := s.current()
	next := k.withNew()
	text, err := next.encode()
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	go func() {
		hash, _ := s.Loaded(t.Context(), hashOf(text))
		heard <- hash
	}()
	if err := s.change(t.Context(), k, next); err != nil {
		t.Fatal(err)
	}
	if hash := <-heard; hash != hashOf(text) {
		t.Errorf("heard %s", hash)
	}
	if err := s.change(t.Context(), k, next); !errors.Is(err, errMoved) {
		t.Errorf("keys that are not those any more are changed: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), pause/10)
	defer cancel()
	if hash, err := s.Loaded(ctx, "never"); err == nil || hash != hashOf(text) {
		t.Errorf("%s, %v", hash, err)
	}
}

// TestOneServerAtATime: the turn to change the keys is held while it is used, by a crashed server for a while, and is lost by one
// that was away.
func TestOneServerAtATime(t *testing.T) {
	p := newPair(t)
	data, err := p.all[0].datastore()
	if err != nil {
		t.Fatal(err)
	}
	defer data.close()
	for _, s := range p.all {
		s.turnLife = 3 * time.Second
	}
	take := func(i int) (context.Context, func()) {
		t.Helper()
		held, end, err := p.all[i].takeTurn(t.Context(), data)
		if err != nil {
			t.Fatal(err)
		}
		return held, end
	}
	refused := func(i int) {
		t.Helper()
		var told *fault.Fault
		if _, _, err := p.all[i].takeTurn(t.Context(), data); !errors.As(err, &told) || !strings.Contains(err.Error(), "server-") {
			t.Errorf("a second one: %v", err)
		}
	}
	held, end := take(0)
	<-time.After(4 * time.Second) // it is kept for longer than a crashed server's
	refused(1)
	if held.Err() != nil {
		t.Error(context.Cause(held))
	}
	end()
	held, end = take(1)
	again, endAgain := take(1) // a former life of the same server is no other one
	select {
	case <-held.Done():
	case <-time.After(most):
		t.Error("the former life goes on")
	}
	if !errors.Is(context.Cause(held), errTurnLost) || again.Err() != nil {
		t.Errorf("%v, %v", context.Cause(held), again.Err())
	}
	end()
	refused(0)
	endAgain()
	crashed := &turn{data: data, name: "server-1", life: time.Second}
	if holder, err := crashed.write(t.Context()); holder != "" || err != nil {
		t.Fatal(holder, err)
	}
	refused(0)
	<-time.After(2 * time.Second)
	_, end = take(0)
	end()
}

// TestKeysThatAnotherServerForgotAreGivenBack: nothing that may have been written with is lost.
func TestKeysThatAnotherServerForgotAreGivenBack(t *testing.T) {
	s := newSite(t)
	secrets := s.open(t, nil)
	k, _ := secrets.current()
	if err := secrets.change(t.Context(), k, k.withNew()); err != nil {
		t.Fatal(err)
	}
	k, _ = secrets.current()
	if err := secrets.change(t.Context(), k, k.promoted()); err != nil {
		t.Fatal(err)
	}
	s.fill(t, secrets, 3)
	mine, _ := secrets.current()
	theirs := keys{all: []key{k.all[0], newKey(1)}} // made at the same moment
	text, err := theirs.encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secrets.config.File, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := secrets.Reload(); err != nil {
		t.Fatal(err)
	}
	s.check(t, secrets, mine.writes())
	running(t, secrets)
	late, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	for now, _ := secrets.current(); len(now.all) != 3; now, _ = secrets.current() {
		if err := sleep(late, pause/100); err != nil {
			t.Fatalf("the keys are %q", now.names())
		}
	}
	s.check(t, secrets, mine.writes())
}

// TestAServerThatWasAwayTakesWhatTheOthersHave before it serves: it reads all, and writes with what they do.
func TestAServerThatWasAwayTakesWhatTheOthersHave(t *testing.T) {
	s := newSite(t)
	before := s.open(t, nil)
	s.fill(t, before, 3)
	old, err := os.ReadFile(before.config.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := before.rotate(t.Context(), func(wire.SecretsProgress) {}); err != nil {
		t.Fatal(err)
	}
	now, err := os.ReadFile(before.config.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(before.config.File, old, 0o600); err != nil {
		t.Fatal(err)
	}
	away := s.open(t, nil)
	if err := os.WriteFile(away.config.File, now, 0o600); err != nil { // as package shared does at the start
		t.Fatal(err)
	}
	if err := away.Reload(); err != nil {
		t.Fatal(err)
	}
	k, _ := before.current()
	if mine, _ := away.current(); len(mine.all) != 1 || mine.writes() != k.writes() {
		t.Errorf("the keys are %q", mine.names())
	}
	s.check(t, away, k.writes())
}
