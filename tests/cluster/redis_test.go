package cluster_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestRedisKeepsItsData: a StatefulSet's data outlives its pod, skerry and the power.
func TestRedisKeepsItsData(t *testing.T) {
	n := startNode(t, []string{redis})
	n.apply(t, "redis.yaml")
	n.podReady(t, "redis-0")
	var kept []string
	put := func(t *testing.T, key string) {
		t.Helper()
		if out := n.exec(t, "redis-0", "redis-cli", "set", key, "value of "+key); out != "OK" {
			t.Fatalf("set %s: %s", key, out)
		}
		kept = append(kept, key)
	}
	check := func(t *testing.T) {
		t.Helper()
		for _, key := range kept {
			if out := n.exec(t, "redis-0", "redis-cli", "get", key); out != "value of "+key {
				t.Errorf("%s is %q", key, out)
			}
		}
	}

	t.Run("over pod deletion", func(t *testing.T) {
		put(t, "deletion")
		old := n.pod(t, "redis-0")
		n.kubectl(t, "delete", "pod", "redis-0", "--wait=false")
		n.podUntil(t, "redis-0", "is another one and ready", func(p *corev1.Pod) error {
			if p.UID == old.UID || !isReady(p) {
				return fmt.Errorf("uid %s", p.UID)
			}
			return nil
		})
		check(t)
	})
	t.Run("over SIGKILL of skerry", func(t *testing.T) {
		put(t, "kill")
		before := n.pod(t, "redis-0")
		n.proc.Kill()
		n.serve()
		n.ready(t)
		if now := n.podReady(t, "redis-0"); identity(now) != identity(before) {
			t.Errorf("redis was\n%s\nis\n%s", identity(before), identity(now))
		}
		check(t)
	})
	t.Run("over a power cut", func(t *testing.T) {
		put(t, "power")
		before := n.pod(t, "redis-0")
		n.host.PowerCycle()
		n.serve()
		n.ready(t)
		n.podUntil(t, "redis-0", "runs again", func(p *corev1.Pod) error {
			if identity(p) == identity(before) || !isReady(p) {
				return fmt.Errorf("it is %s", identity(p))
			}
			return nil
		})
		check(t)
	})
}
