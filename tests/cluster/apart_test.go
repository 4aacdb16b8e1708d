package cluster_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// How long servers are disturbed: usually, and with SKERRY_LONG.
const (
	disturbed     = 60 * time.Second
	disturbedLong = 15 * time.Minute
)

// TestServersApart: three servers are killed, frozen and cut off from each other, in random order, while clients of each write. At the end
// all of them have the same objects, and every write that was answered is among them.
func TestServersApart(t *testing.T) {
	s := newServers(t, 3, nil)
	for _, n := range s.all {
		n.host.Write(configFile, []byte("disable-agent: true\n"))
	}
	s.serve("--cluster-init")
	s.apiReady(t)
	for _, n := range s.all[1:] {
		s.further(t, n)
	}
	s.up(t, s.all...)
	long := disturbed
	if os.Getenv("SKERRY_LONG") != "" {
		long = disturbedLong
	}
	var all []*register
	for _, n := range s.all {
		all = append(all, keep(t, n))
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("disturbed for %s, by the seed %d", long, seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	for end := time.Now().Add(long); time.Now().Before(end); {
		disturb(t, s, chance)
	}
	s.up(t, s.all...)
	for _, r := range all {
		r.stop()
	}
	var first map[string]string
	s.eventually(t, "all servers have the same objects", func() error { // a write whose client has gone may still be under way
		first = values(t, s.all[0])
		for _, n := range s.all[1:] {
			if other := values(t, n); !maps.Equal(first, other) {
				return fmt.Errorf("%s has %v, %s %v", s.all[0].host.Name(), first, n.host.Name(), other)
			}
		}
		return nil
	})
	for _, r := range all {
		r.check(t, first)
	}
}

// disturb does one thing to one or two servers, and makes up for it.
func disturb(t *testing.T, s *servers, chance *rand.Rand) {
	t.Helper()
	order := chance.Perm(len(s.all))
	one, other := s.all[order[0]], s.all[order[1]]
	while := time.Duration(500+chance.IntN(12000)) * time.Millisecond
	switch what := chance.IntN(5); what {
	case 0:
		t.Logf("%s is killed", one.host.Name())
		kill(t, one)
		time.Sleep(while / 4)
		one.serve()
	case 1:
		t.Logf("%s is frozen for %s", one.host.Name(), while)
		_ = one.proc.Signal(syscall.SIGSTOP)
		time.Sleep(while)
		_ = one.proc.Signal(syscall.SIGCONT)
	case 2:
		t.Logf("%s is cut off for %s", one.host.Name(), while)
		one.host.Unplug()
		time.Sleep(while)
		one.host.Plug()
	case 3:
		t.Logf("%s and %s are cut off from each other for %s", one.host.Name(), other.host.Name(), while)
		s.lab.Cut(one.host, other.host)
		time.Sleep(while)
		s.lab.Mend(one.host, other.host)
	case 4:
		t.Logf("%s and %s are killed", one.host.Name(), other.host.Name())
		kill(t, one)
		kill(t, other)
		time.Sleep(while / 4)
		one.serve()
		other.serve()
	}
	time.Sleep(time.Duration(chance.IntN(5000)) * time.Millisecond)
}

// register is objects that one client alone changes, through one server.
type register struct {
	node     *node
	api      kubernetes.Interface
	mu       sync.Mutex     // guards what follows
	answered map[string]int // the value of each object whose write was answered last
	tried    map[string]int // the one that was tried last
	count    int
	stop     func()
}

// registers is how many objects a client has.
const registers = 5

// keep begins to write.
func keep(t *testing.T, n *node) *register {
	ctx, cancel := context.WithCancel(t.Context())
	r := &register{node: n, api: n.api, answered: map[string]int{}, tried: map[string]int{}}
	ended := make(chan struct{})
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	t.Cleanup(r.stop)
	go func() {
		defer close(ended)
		for i := 1; ctx.Err() == nil; i++ {
			r.write(ctx, fmt.Sprintf("%s-%d", n.host.Name(), i%registers), i)
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	return r
}

// write changes an object to a value, or makes it with that.
func (r *register) write(ctx context.Context, name string, value int) {
	r.mu.Lock()
	r.tried[name] = value
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	objects := r.api.CoreV1().ConfigMaps("default")
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"value": strconv.Itoa(value)}}
	_, err := objects.Update(ctx, object, metav1.UpdateOptions{})
	if err != nil {
		_, err = objects.Create(ctx, object, metav1.CreateOptions{})
	}
	if err == nil {
		r.mu.Lock()
		r.answered[name] = value
		r.count++
		r.mu.Unlock()
	}
}

// check wants of each object the value that was answered last, or one that was tried after it.
func (r *register) check(t *testing.T, found map[string]string) {
	t.Helper()
	for name, answered := range r.answered {
		value, err := strconv.Atoi(found[name])
		if err != nil || value < answered || value > r.tried[name] {
			t.Errorf("%s has the value %q; %d was answered, and %d tried", name, found[name], answered, r.tried[name])
		}
	}
	t.Logf("%d writes through %s were answered", r.count, r.node.host.Name())
	if r.count == 0 {
		t.Errorf("no write through %s was answered", r.node.host.Name())
	}
}

// values are those of all objects of the registers, as a server has them.
func values(t *testing.T, n *node) map[string]string {
	t.Helper()
	list, err := n.api.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, c := range list.Items {
		if value, is := c.Data["value"]; is {
			found[c.Name] = value
		}
	}
	return found
}
