package cluster_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestRollNginxWithoutLoss: three nginx are rolled and rolled back under load, and no request fails.
func TestRollNginxWithoutLoss(t *testing.T) {
	n := startNode(t, []string{nginx1, nginx2})
	n.apply(t, "nginx.yaml")
	n.kubectl(t, "rollout", "status", "deployment/nginx", "--timeout=2m")
	inside := "http://" + n.clusterIP(t, "nginx") + "/"
	outside := "http://" + n.host.Address() + ":30080/"
	paths := []*load{
		{what: "ClusterIP from the node", client: n.host.HTTP(), url: inside},
		{what: "NodePort from the node", client: n.host.HTTP(), url: outside},
		{what: "NodePort from another machine", client: n.lab.HTTP(), url: outside},
	}
	for _, p := range paths {
		n.eventually(t, "nginx answers by "+p.what, func() error { return answers(p, "1") })
	}

	t.Run("roll", func(t *testing.T) {
		during(t, paths, func() {
			n.kubectl(t, "set", "image", "deployment/nginx", "nginx="+nginx2)
			n.kubectl(t, "rollout", "status", "deployment/nginx", "--timeout=2m")
			n.podsReady(t, "nginx", 3)
		})
		for _, p := range paths {
			if err := answers(p, "2"); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("roll back", func(t *testing.T) {
		during(t, paths, func() {
			n.kubectl(t, "rollout", "undo", "deployment/nginx")
			n.kubectl(t, "rollout", "status", "deployment/nginx", "--timeout=2m")
			n.podsReady(t, "nginx", 3)
		})
		for _, p := range paths {
			if err := answers(p, "1"); err != nil {
				t.Error(err)
			}
		}
	})
}

func answers(p *load, version string) error {
	out, err := get(p.client, p.url)
	if err != nil {
		return fmt.Errorf("%s: %w", p.what, err)
	}
	if !strings.Contains(out, "nginx version "+version) {
		return fmt.Errorf("%s answers %q, want version %s", p.what, out, version)
	}
	return nil
}

// load asks again and again, with a new connection each time.
type load struct {
	what   string
	client *http.Client
	url    string

	good int
	bad  []string
}

func (l *load) run(ctx context.Context) {
	l.good, l.bad = 0, nil
	for ctx.Err() == nil {
		if _, err := get(l.client, l.url); err != nil {
			l.bad = append(l.bad, fmt.Sprintf("%s %v", time.Now().Format("15:04:05.000"), err))
		} else {
			l.good++
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond): // a steady trickle: two cores have a cluster to run too
		}
	}
}

// during runs do under load and wants every request answered.
func during(t *testing.T, paths []*load, do func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, p := range paths {
		all.Go(func() { p.run(ctx) })
	}
	defer func() {
		cancel()
		all.Wait()
		for _, p := range paths {
			t.Logf("%s: %d requests answered, %d failed", p.what, p.good, len(p.bad))
			if len(p.bad) > 0 || p.good == 0 {
				t.Errorf("%s: %d failed, first %q", p.what, len(p.bad), p.bad[:min(3, len(p.bad))])
			}
		}
	}()
	do()
}
