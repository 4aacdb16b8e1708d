package endpoint

import (
	"log/slog"
	"net/http"
	"testing"
)

const (
	own   = "https://127.0.0.1:6443"
	one   = "https://10.0.0.1:6443"
	two   = "https://10.0.0.2:6443"
	three = "https://10.0.0.3:6443"
)

func TestChoose(t *testing.T) {
	for name, test := range map[string]struct {
		list       []string
		current    string
		conditions map[string]condition
		tried      []string
		want       string // "" for none
	}{
		"at first, the first of the list":         {[]string{one, two, three}, "", nil, nil, one},
		"then the one in use":                     {[]string{one, two, three}, two, nil, nil, two},
		"the one on this machine comes first":     {[]string{own, one, two}, two, nil, nil, own},
		"but not while it is away":                {[]string{own, one, two}, two, map[string]condition{own: gone}, nil, two},
		"and not while it is starting":            {[]string{own, one}, "", map[string]condition{own: starting}, nil, one},
		"the one in use is lost":                  {[]string{one, two, three}, two, map[string]condition{two: gone}, nil, one},
		"one that is starting before one gone":    {[]string{one, two}, "", map[string]condition{one: gone, two: starting}, nil, two},
		"what was tried is not tried again":       {[]string{one, two, three}, one, nil, []string{one, two}, three},
		"one that is away, when all others are":   {[]string{one, two}, "", map[string]condition{one: gone, two: gone}, []string{two}, one},
		"none is left":                            {[]string{one, two}, "", nil, []string{one, two}, ""},
		"the one in use is not one of the list's": {[]string{one}, two, nil, nil, one},
	} {
		t.Run(name, func(t *testing.T) {
			servers := newList(append(test.list, test.current)...)
			if test.current == "" {
				servers = newList(test.list...)
			}
			p, err := newPool(newCluster(t), servers, patient, nil, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			by := map[string]*upstream{}
			for _, u := range p.known() {
				by[u.url] = u
			}
			p.current = by[test.current]
			if p.current != nil {
				p.current.busy.Store(1) // it is kept when it leaves the list
			}
			servers.set(test.list...)
			if err := p.adopt(); err != nil {
				t.Fatal(err)
			}
			for url, c := range test.conditions {
				by[url].set(c)
			}
			var tried []*upstream
			for _, url := range test.tried {
				tried = append(tried, by[url])
			}
			got := ""
			if u := p.choose(tried); u != nil {
				got = u.url
			}
			if got != test.want {
				t.Errorf("chose %q, want %q", got, test.want)
			}
		})
	}
}

func TestTheServerOnThisMachineIsReturnedTo(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	here := c.machine(t, "here", sayName)
	here.starting.Store(true)
	p, err := newPool(c, newList(here.url, three), patient, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	p.look(t.Context()) // nothing is known against it yet, so nobody asks
	if here.probes.Load() > 0 {
		t.Error("a server that is fine was asked although nothing waits for it")
	}
	local := p.choose(nil)
	local.set(gone)
	if next := p.choose(nil); next == local {
		t.Fatal("a server that is away is the first choice")
	}
	p.look(t.Context())
	if next := p.choose(nil); next == local {
		t.Error("a server whose API is starting is the first choice")
	}
	here.starting.Store(false)
	p.look(t.Context())
	if next := p.choose(nil); next != local {
		t.Errorf("chose %s", next.url)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://any/api", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}
