package cluster_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/skerry-io/skerry/tests/testhost"
)

// TestNothingLeaks: from the moment that anything of skerry answers, no packet to or from a pod or a Service leaves by
// the host's cable, whether the pod or Service exists or not, and whether skerry runs or not.
func TestNothingLeaks(t *testing.T) {
	n := newNode(t, []string{busybox}, testhost.NoBlackholes())
	stop := n.knock(t, "10.42.200.1:80", "10.43.0.10:53", "10.43.200.1:80")
	defer stop()
	t.Run("without skerry it does leak", func(t *testing.T) { // or this test proves nothing
		tap := n.host.Tap("10.42.0.0/16", "10.43.0.0/16")
		n.eventually(t, "packets are seen on the cable", func() error {
			if seen := tap.Seen(); len(seen) < 3 {
				return fmt.Errorf("seen %q", seen)
			}
			return nil
		})
	})

	n.serve()
	n.eventually(t, "the API port is open", func() error {
		conn, err := n.host.Dial(t.Context(), "tcp", "127.0.0.1:6443")
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	tap := n.host.Tap("10.42.0.0/16", "10.43.0.0/16")
	quiet := func(t *testing.T) {
		t.Helper()
		if seen := tap.Seen(); len(seen) > 0 {
			t.Errorf("left by the cable: %q", seen)
		}
	}
	t.Run("during the start", func(t *testing.T) {
		n.ready(t)
		quiet(t)
	})
	t.Run("with pods and Services", func(t *testing.T) {
		n.apply(t, "services.yaml")
		n.create(t, sleeper("asker"))
		n.podReady(t, "asker")
		n.podsReady(t, "web", 2)
		for _, address := range []string{"10.43.200.2", "10.42.200.2", "10.42.0.254", n.clusterIP(t, "web")} {
			_, _ = n.try(t, "kubectl", "exec", "asker", "--", "nc", "-w", "1", address, "80")
		}
		quiet(t)
	})
	t.Run("with a Service that has lost its pods", func(t *testing.T) {
		n.kubectl(t, "scale", "deployment/web", "--replicas=0")
		n.podsReady(t, "web", 0)
		if _, err := n.fetch("http://" + n.clusterIP(t, "web") + "/"); err == nil {
			t.Error("a Service without pods answers")
		}
		quiet(t)
	})
	t.Run("after SIGKILL", func(t *testing.T) {
		n.proc.Kill()
		time.Sleep(time.Second) // a while in which nothing may happen
		quiet(t)
	})
	t.Run("during the next start and after the stop", func(t *testing.T) {
		n.serve()
		n.ready(t)
		_ = n.stop(t)
		time.Sleep(time.Second) // a while in which nothing may happen
		quiet(t)
	})
}

// knock sends a packet to each address every few milliseconds until stopped.
func (n *node) knock(t *testing.T, addresses ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, address := range addresses {
		all.Go(func() {
			for ctx.Err() == nil {
				if conn, err := n.host.Dial(ctx, "udp", address); err == nil {
					_, _ = conn.Write([]byte("anyone there?"))
					_ = conn.Close()
				}
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}
