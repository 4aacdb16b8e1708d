package etcd

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// usually is how long members are disturbed; with SKERRY_LONG it is longest.
const (
	usually = 15 * time.Second
	longest = 15 * time.Minute
	// epoch is how long the same keys are used, so that what has to be looked at together stays small.
	epoch = 3 * time.Second
)

// question and answer are one operation on a key that holds a word.
type (
	question struct {
		key, value string
		was        string // for a swap: only if the key has this value
		swap, read bool
	}
	answer struct {
		value  string // for a read
		done   bool   // for a swap
		silent bool   // nobody knows whether it was done
	}
)

// register is how a key behaves that is in one place.
func register() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
			byKey := map[string][]porcupine.Operation{}
			for _, o := range history {
				key := o.Input.(question).key
				byKey[key] = append(byKey[key], o)
			}
			for _, part := range byKey {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			is, q, a := state.(string), input.(question), output.(answer)
			switch {
			case q.read:
				return a.value == is, is
			case !q.swap:
				return true, q.value
			case a.silent && is == q.was || a.done:
				return is == q.was, q.value
			case a.silent:
				return true, is
			}
			return is != q.was, is
		},
	}
}

// crowd asks members, and writes down what it asked and heard.
type crowd struct {
	began time.Time
	words atomic.Int64

	mu      sync.Mutex // guards history
	history []porcupine.Operation
}

func (c *crowd) now() int64 { return int64(time.Since(c.began)) }

// forever is when something comes to be that nobody answered.
const forever = int64(1) << 62

func (c *crowd) note(client int, q question, a answer, call, end int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history = append(c.history, porcupine.Operation{ClientId: client, Input: q, Output: a, Call: call, Return: end})
}

// ask makes one operation.
func (c *crowd) ask(ctx context.Context, client int, through *clientv3.Client, q question) {
	ctx, stop := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer stop()
	call := c.now()
	var a answer
	var err error
	switch {
	case q.read:
		var got *clientv3.GetResponse
		if got, err = through.Get(ctx, q.key); err != nil {
			return // it tells nothing
		}
		if len(got.Kvs) > 0 {
			a.value = string(got.Kvs[0].Value)
		}
	case q.swap:
		var got *clientv3.TxnResponse
		if got, err = through.Txn(ctx).If(clientv3.Compare(clientv3.Value(q.key), "=", q.was)).Then(clientv3.OpPut(q.key, q.value)).Commit(); err == nil {
			a.done = got.Succeeded
		}
	default:
		_, err = through.Put(ctx, q.key, q.value)
	}
	end := c.now()
	if err != nil {
		a.silent, end = true, forever
	}
	c.note(client, q, a, call, end)
}

// work asks one member random questions until ctx ends.
func (c *crowd) work(ctx context.Context, client int, through *clientv3.Client) {
	last := map[string]string{}
	for wait(ctx, time.Duration(1+rand.IntN(8))*time.Millisecond) {
		q := question{key: fmt.Sprintf("/registry/register/%d-%d", time.Since(c.began)/epoch, rand.IntN(4)), value: fmt.Sprint(c.words.Add(1))}
		switch was := last[q.key]; rand.IntN(5) {
		case 0, 1:
			q.read = true
		case 2:
			q.swap, q.was = was != "", was
		}
		if !q.read {
			last[q.key] = q.value
		}
		c.ask(context.WithoutCancel(ctx), client, through, q)
	}
}

// disturb does something to the cluster, and undoes it.
func disturb(ctx context.Context, all []*process, net *links) (what string) {
	one := rand.IntN(len(all))
	p, pause := all[one], time.Duration(300+rand.IntN(2200))*time.Millisecond
	var ways []link
	for i := range all {
		if i != one {
			ways = append(ways, link{one + 1, i + 1}, link{i + 1, one + 1})
		}
	}
	hard := rand.IntN(2) == 0
	switch rand.IntN(6) {
	case 0:
		what = fmt.Sprintf("kill %d", p.n)
		p.kill()
		wait(ctx, pause)
		p.start()
	case 1:
		what = fmt.Sprintf("freeze %d", p.n)
		p.signal(syscall.SIGSTOP)
		wait(ctx, pause)
		p.signal(syscall.SIGCONT)
	case 2:
		what = fmt.Sprintf("cut %d off", p.n)
		net.set(true, hard, ways...)
		wait(ctx, pause)
		net.set(false, hard, ways...)
	case 3:
		what = fmt.Sprintf("cut between %d and %d", ways[0].from, ways[0].to)
		net.set(true, hard, ways[:2]...)
		wait(ctx, pause)
		net.set(false, hard, ways[:2]...)
	case 4:
		what = fmt.Sprintf("cut one way from %d to %d", ways[0].from, ways[0].to)
		net.set(true, hard, ways[0])
		wait(ctx, pause)
		net.set(false, hard, ways[0])
	case 5:
		what = "kill all"
		for _, p := range all {
			p.kill()
		}
		for _, p := range all {
			p.start()
		}
	}
	return what
}

// really makes sure that a member that is cut off is.
func really(t *testing.T, all []*process, net *links) {
	t.Helper()
	ways := []link{{1, 2}, {2, 1}, {1, 3}, {3, 1}}
	net.set(true, false, ways...)
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	if _, err := all[0].c.Put(ctx, "/registry/alone", "1"); err == nil {
		t.Fatal("a member that is cut off writes")
	}
	put(t, all[1].c, "/registry/others", "1")
	net.set(false, true, ways...)
	put(t, all[0].c, "/registry/alone", "1")
}

// TestLinearizable: whatever is killed, frozen or cut off, all clients see one register, and what was answered stays.
func TestLinearizable(t *testing.T) {
	s := newSite(t)
	s.log = slog.New(slog.DiscardHandler)
	all, net := processes(t, s, 3, false)
	long := usually
	if os.Getenv("SKERRY_LONG") != "" {
		long = longest
	}
	really(t, all, net)
	c := &crowd{began: time.Now()}
	ctx, stop := context.WithTimeout(t.Context(), long)
	defer stop()
	var working sync.WaitGroup
	for client := range 9 {
		working.Go(func() { c.work(ctx, client, all[client%len(all)].c) })
	}
	disturbed := map[string]int{}
	for wait(ctx, time.Duration(200+rand.IntN(1500))*time.Millisecond) {
		what := disturb(ctx, all, net)
		disturbed[what]++
		if long == usually {
			t.Log(what)
		}
	}
	working.Wait()
	for _, p := range all {
		put(t, p.c, "/registry/over", "1")
	}
	keys := map[string]bool{}
	for _, o := range c.history {
		keys[o.Input.(question).key] = true
	}
	for key := range keys {
		for i, p := range all {
			c.ask(t.Context(), 100+i, p.c, question{key: key, read: true})
		}
	}
	silent := 0
	for _, o := range c.history {
		if o.Output.(answer).silent {
			silent++
		}
	}
	t.Logf("%d operations on %d keys, %d without an answer; %v", len(c.history), len(keys), silent, disturbed)
	began := time.Now()
	if result := porcupine.CheckOperationsTimeout(register(), c.history, 2*time.Minute); result != porcupine.Ok {
		t.Errorf("the history is not that of one register: %s", result)
	}
	t.Logf("looked at for %s", time.Since(began))
	if answered := len(c.history) - silent; answered < int(long.Seconds())*20 {
		t.Errorf("only %d operations were answered", answered)
	}
}

// TestTheModelFindsFaults makes sure that the check above can fail.
func TestTheModelFindsFaults(t *testing.T) {
	c := &crowd{}
	c.note(0, question{key: "a", value: "1"}, answer{}, 0, 10)
	c.note(0, question{key: "a", value: "2"}, answer{}, 20, 30)
	c.note(1, question{key: "a", read: true}, answer{value: "1"}, 40, 50)
	if porcupine.CheckOperations(register(), c.history) {
		t.Error("a lost write was not noticed")
	}
	c.history = c.history[:2]
	c.note(1, question{key: "a", value: "3"}, answer{silent: true}, 5, forever)
	c.note(1, question{key: "a", read: true}, answer{value: "3"}, 40, 50)
	if !porcupine.CheckOperations(register(), c.history) {
		t.Error("a write that came late is held against the store")
	}
}
