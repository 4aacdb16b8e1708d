package cluster_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestOfflineRestore: the server is put back to what it knew earlier, so that its resource versions go back, while an agent
// knows what came after. It is back so soon that the agent notices no absence; the agent follows it all the same.
func TestOfflineRestore(t *testing.T) {
	c := newCluster(t, "", []string{busybox})
	far := c.newAgent(t, "far", nil)
	c.start(t)
	c.create(t, endsSoon("older", "older"))
	c.create(t, endsSoon("steady", "steady"))
	c.service(t, "steady", "steady", 30091)
	c.podReady(t, "older")
	c.podReady(t, "steady")
	c.stop(t)
	aside := t.TempDir() + "/db"
	if err := os.CopyFS(aside, os.DirFS(c.host.Path(databaseDir))); err != nil {
		t.Fatal(err)
	}
	c.serve()
	c.apiReady(t)
	c.allReady(t)
	for _, back := range []struct {
		name   string
		writes int // that are lost, besides those of a node
	}{{"by much", 200}, {"by little", 0}} {
		t.Run(back.name, func(t *testing.T) {
			c.later(t, back.writes)
			before := far.mainOf(t, "steady")
			c.stop(t)
			if err := errors.Join(os.RemoveAll(c.host.Path(databaseDir)), os.CopyFS(c.host.Path(databaseDir), os.DirFS(aside))); err != nil {
				t.Fatal(err)
			}
			c.serve()
			c.apiReady(t)
			began := time.Now()
			c.converges(t, far)
			t.Logf("all agree %v after the restored server answers", time.Since(began).Round(100*time.Millisecond))
			if took := time.Since(began); took > 2*caughtUpWithin { // which is for slow machines
				t.Errorf("that is more than %v", 2*caughtUpWithin)
			}
			if now := far.mainOf(t, "steady"); now != before {
				t.Errorf("a pod that is in both was started again: %s, %s", before, now)
			}
		})
	}
}

// endsSoon is a pod on the agent that nobody waits for when it is to end.
func endsSoon(name, label string) *corev1.Pod {
	pod := webOn("far", name, label)
	second := int64(1)
	pod.Spec.TerminationGracePeriodSeconds = &second
	return pod
}

// later is what happens after the copy was made: one pod goes, one comes, and much is written.
func (c *cluster) later(t *testing.T, writes int) {
	t.Helper()
	c.kubectl(t, "delete", "pod", "older")
	c.create(t, endsSoon("younger", "younger"))
	c.podReady(t, "younger")
	for i := range writes {
		c.note(t, fmt.Sprintf("later-%d-%d", time.Now().UnixNano(), i))
	}
}

// converges wants what the server knows to be so on the node, and what changes from now on.
func (c *cluster) converges(t *testing.T, far *agent) {
	t.Helper()
	c.podUntil(t, "older", "runs again", func(p *corev1.Pod) error {
		if !isReady(p) {
			return errors.New(brief(p))
		}
		if !strings.Contains(p.Status.ContainerStatuses[0].ContainerID, far.mainOf(t, "older")) || far.mainOf(t, "older") == "" {
			return errors.New("it is said to be another container")
		}
		return nil
	})
	c.eventually(t, "the pod that the server does not know has ended", func() error {
		if id := far.mainOf(t, "younger"); id != "" {
			return fmt.Errorf("container %s runs", id)
		}
		_, err := c.api.CoreV1().Pods(inDefault).Get(t.Context(), "younger", metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("it is in the API"), err)
		}
		return nil
	})
	c.create(t, endsSoon("fresh", "steady"))
	c.podReady(t, "fresh")
	c.eventually(t, "the Service leads to the pod that came now", func() error {
		out, err := get(c.lab.HTTP(), "http://"+far.host.Address()+":30091/index.html")
		if err == nil && out != "fresh" {
			err = fmt.Errorf("it says %q", out)
		}
		return err
	})
	c.kubectl(t, "delete", "pod", "fresh")
	c.allReady(t)
}

// mainOf is the number of a pod's running container, empty when there is none.
func (a *agent) mainOf(t *testing.T, pod string) string {
	t.Helper()
	out, err := a.try(t, "crictl", "ps", "-q", "--name", "main", "--label", "io.kubernetes.pod.name="+pod)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}
