package endpoint

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// doubting gives requests of a server to a test, and the pool that they go through.
func doubting(t *testing.T, c *cluster, servers Servers, chance time.Duration) *pool {
	t.Helper()
	p, err := newPool(c, servers, patient, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p.chance = chance
	for _, u := range p.servers {
		u.local = false // as servers of other nodes are
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.watch(t.Context())
	}()
	t.Cleanup(func() {
		<-ended
		p.close()
	})
	return p
}

// hang opens a watch in a pool; the channel closes when it ends.
func hang(t *testing.T, p *pool) <-chan struct{} { return hangAs(t, p, "") }

func hangAs(t *testing.T, p *pool, user string) <-chan struct{} {
	t.Helper()
	ctx := context.WithValue(t.Context(), callerKey{}, user)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://any/api/v1/pods?watch=1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer answer.Body.Close()
		for {
			if _, err := answer.Body.Read(make([]byte, 100)); err != nil {
				return
			}
		}
	}()
	return ended
}

func within(d time.Duration, ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	case <-time.After(d):
		return false
	}
}

// TestTheOnlyServerIsGivenUpWhenItIsDoubtedForAReason: what hangs on it must not wait for the kernel to notice.
func TestTheOnlyServerIsGivenUpWhenItIsDoubtedForAReason(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	only := c.machine(t, "only", events)
	p := doubting(t, c, newList(only.url), time.Second)
	if p.InUse() != "" {
		t.Errorf("before the first answer %s is in use", p.InUse())
	}
	ended := hang(t, p)
	if p.InUse() != only.url {
		t.Errorf("%q is in use", p.InUse())
	}
	p.Doubt("https://elsewhere")
	p.Doubt(only.url)
	if within(2*time.Second, ended) || only.probes.Load() != 1 {
		t.Fatalf("a server that is there was given up, or not asked: %d", only.probes.Load())
	}
	only.power(false)
	for range 3 {
		p.Doubt(only.url)
	}
	if !within(2*time.Second, ended) {
		t.Error("a watch hangs on a server that is gone")
	}
	if p.InUse() != "" {
		t.Errorf("%s is still in use", p.InUse())
	}
}

// TestADoubtfulServerIsLeftForABetterOne: sooner than one without another.
func TestADoubtfulServerIsLeftForABetterOne(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	first, second := c.machine(t, "first", events), c.machine(t, "second", events)
	p := doubting(t, c, newList(first.url, second.url), time.Hour)
	ended := hang(t, p)
	first.power(false)
	p.Doubt(first.url)
	if !within(limit, ended) {
		t.Error("a watch hangs on a server that is gone")
	}
}

// TestAServerOnThisMachineTakesNoWords: there is no tunnel to it, and nothing to save.
func TestAServerOnThisMachineTakesNoWords(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	only := c.machine(t, "only", events)
	p := doubting(t, c, newList(only.url), time.Second)
	hang(t, p)
	if p.current.local = true; p.InUse() != "" {
		t.Errorf("%s is in use", p.InUse())
	}
}

// TestConnectionsThatARouterForgot: the server is there and answers on others, and what hangs on the dead ones must not wait
// until they are asked in their turn.
func TestConnectionsThatARouterForgot(t *testing.T) {
	for name, servers := range map[string]int{"of the only server": 1, "of one of two": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			first := c.machine(t, "first", events)
			urls := []string{first.url, c.machine(t, "second", events).url}[:servers]
			p := doubting(t, c, newList(urls...), time.Second)
			dead := hangAs(t, p, kubelet)
			first.forget()
			alive := hangAs(t, p, proxy)
			p.Doubt(first.url)
			if !within(3*time.Second, dead) {
				t.Error("a watch hangs on a dead connection")
			}
			p.Doubt(first.url)
			if within(2*time.Second, alive) || p.InUse() != first.url {
				t.Errorf("another ended with it, and %q is in use", p.InUse())
			}
		})
	}
}

// TestADoubtedServerWithTwoURLs: no other is better, and it is gone all the same.
func TestADoubtedServerWithTwoURLs(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	first, second := c.machine(t, "first", events), c.machine(t, "second", events)
	p := doubting(t, c, newList(first.url, second.url), 2*time.Second)
	ended := hangAs(t, p, kubelet)
	first.power(false)
	second.power(false)
	p.Doubt(first.url)
	if !within(5*time.Second, ended) {
		t.Error("a watch hangs on a server that is gone")
	}
}

// TestSilenceIsNotMeasuredByTheClock of the machine, which may be set back by a day: what counts has to be what cannot be set.
func TestSilenceIsNotMeasuredByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, err := newUpstream("https://192.0.2.1:6443", nil)
		if err != nil {
			t.Fatal(err)
		}
		if now := time.Now(); u.due().After(now) {
			t.Error("a server that was never heard is not asked at once")
		}
		time.Sleep(time.Minute)
		u.hear()
		if heard := time.Duration(u.heard.Load()); heard != time.Minute+listenFor || time.Until(u.due()) != listenFor {
			t.Errorf("it was heard after %v, and is due in %v", heard, time.Until(u.due()))
		}
	})
}
