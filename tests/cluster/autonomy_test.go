package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	autonomyKey = "skerry.io/autonomy"
	holdKey     = "skerry.io/hold"
	heldSince   = "skerry.io/held-since"
	// keptFor is how long it is looked whether nothing happens to what must stay as it is.
	keptFor = 2500 * time.Millisecond
)

// TestAutonomyAndHolds: what an away node runs stays where somebody wants that, and only there; and what is held is not replaced
// until the hold is lifted.
func TestAutonomyAndHolds(t *testing.T) {
	c := newCluster(t, "kube-controller-manager-arg: [node-monitor-grace-period="+notReadyAfter+", node-monitor-period=1s, node-eviction-rate=10]\n", nil)
	ship, buoy := c.newAgent(t, "ship", nil), c.newAgent(t, "buoy", nil)
	c.start(t)
	c.apply(t, "autonomy.yaml")
	stays, moves := c.podsReady(t, "stays", 2), c.podsReady(t, "moves", 1)
	if moves[0].Spec.NodeName != buoy.name {
		t.Fatalf("the pod that is to move is on %s", moves[0].Spec.NodeName)
	}
	c.eventually(t, "there are endpoints", func() error { return count(c.endpoints(t, "stays"), 2) })
	if out, err := c.try(t, "kubectl", "label", "node", "ship", autonomyKey+"=soon"); err == nil || !strings.Contains(err.Error()+out, autonomyKey) {
		t.Errorf("a value that means nothing: %v\n%s", err, out)
	}
	c.kubectl(t, "label", "node", "ship", autonomyKey+"=1h")

	c.lab.Cut(c.host, ship.host)
	c.lab.Cut(c.host, buoy.host)
	t.Run("a plain node's pods move", func(t *testing.T) { moved(t, c, buoy) })
	t.Run("the other one's stay", func(t *testing.T) { c.stay(t, ship, stays) })
	t.Run("also when the server is started again", func(t *testing.T) {
		c.proc.Kill()
		c.serve()
		c.apiReady(t)
		c.eventually(t, "the controllers work", func() error { return c.controllersWork(t) })
		c.stay(t, ship, stays)
	})
	t.Run("until nothing says so any more", func(t *testing.T) {
		c.kubectl(t, "label", "node", "ship", autonomyKey+"-")
		c.eventually(t, "its pods are evicted", func() error { return c.evicted(t, stays) })
	})
	c.lab.Mend(c.host, ship.host)
	c.lab.Mend(c.host, buoy.host)
	c.allReady(t)
	t.Run("a held Deployment", func(t *testing.T) { heldDeployment(t, c) })
	t.Run("a held StatefulSet", func(t *testing.T) { heldStatefulSet(t, c) })
	t.Run("a held node", func(t *testing.T) { heldNode(t, c, "ship") })
}

func moved(t *testing.T, c *cluster, from *agent) {
	c.eventually(t, "the pod is elsewhere", func() error {
		list, err := c.api.CoreV1().Pods(inDefault).List(t.Context(), metav1.ListOptions{LabelSelector: "app=moves"})
		if err != nil {
			return err
		}
		for i := range list.Items {
			if p := &list.Items[i]; p.Spec.NodeName != from.name && isReady(p) {
				return nil
			}
		}
		return fmt.Errorf("%d pods, none elsewhere", len(list.Items))
	})
}

// stay looks for a while whether the pods of an away node are what they were.
func (c *cluster) stay(t *testing.T, on *agent, pods []corev1.Pod) {
	t.Helper()
	c.nodeUntil(t, on.name, "is away", func(n *corev1.Node) error {
		if !slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionUnknown
		}) {
			return errors.New("it is not")
		}
		return nil
	})
	for until := time.Now().Add(keptFor); time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
		if err := c.unchanged(t, pods); err != nil {
			t.Fatal(err)
		}
		if err := count(c.endpoints(t, "stays"), len(pods)); err != nil {
			t.Fatalf("endpoints: %v", err)
		}
	}
	for _, taint := range c.theNode(t, on.name).Spec.Taints {
		if taint.Effect == corev1.TaintEffectNoExecute {
			t.Errorf("the node has the taint %s", taint.ToString())
		}
	}
}

// unchanged says what is no longer as it was with pods.
func (c *cluster) unchanged(t *testing.T, pods []corev1.Pod) error {
	for i := range pods {
		p, err := c.api.CoreV1().Pods(inDefault).Get(t.Context(), pods[i].Name, metav1.GetOptions{})
		switch {
		case err != nil:
			return err
		case p.UID != pods[i].UID || p.DeletionTimestamp != nil || !isReady(p):
			return errors.New("it was ready, now " + brief(p))
		case slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.DisruptionTarget }):
			return fmt.Errorf("pod %s is about to be evicted", p.Name)
		}
	}
	return nil
}

// evicted says what is left of pods that Kubernetes gives up.
func (c *cluster) evicted(t *testing.T, pods []corev1.Pod) error {
	if err := count(c.endpoints(t, "stays"), 0); err != nil {
		return err
	}
	for i := range pods {
		if p, err := c.api.CoreV1().Pods(inDefault).Get(t.Context(), pods[i].Name, metav1.GetOptions{}); err == nil && p.DeletionTimestamp == nil {
			return errors.New(brief(p))
		}
	}
	return nil
}

// controllersWork says that they have made what a new namespace needs.
func (c *cluster) controllersWork(t *testing.T) error {
	name := "n" + fmt.Sprint(time.Now().UnixNano())
	if _, err := c.api.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	c.eventually(t, "a namespace has its account", func() error {
		_, err := c.api.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	return nil
}

func count(all []string, want int) error {
	if len(all) != want {
		return fmt.Errorf("there are %d of %d: %q", len(all), want, all)
	}
	return nil
}

// heldDeployment: its new template waits, while it can still be scaled.
func heldDeployment(t *testing.T, c *cluster) {
	before := c.podsReady(t, "held", 1)
	out := c.kubectl(t, "set", "env", "deployment/held", "ROUND=2")
	c.kubectl(t, "scale", "deployment/held", "--replicas=2")
	both := c.podsReady(t, "held", 2)
	c.remain(t, before)
	for i := range both {
		if len(both[i].Spec.Containers[0].Env) > 0 {
			t.Errorf("pod %s has the new template; kubectl said %s", both[i].Name, out)
		}
	}
	if d, err := c.api.AppsV1().Deployments(inDefault).Get(t.Context(), "held", metav1.GetOptions{}); err != nil || d.Labels[heldSince] == "" {
		t.Errorf("nothing says since when it is held: %v, %v", d.Labels, err)
	}
	c.kubectl(t, "annotate", "deployment/held", holdKey+"-")
	c.renewed(t, "held", 2)
}

// heldStatefulSet: its pods are not replaced, and say so.
func heldStatefulSet(t *testing.T, c *cluster) {
	before := c.podsReady(t, "numbered", 2)
	c.kubectl(t, "annotate", "statefulset/numbered", holdKey+"=true")
	c.kubectl(t, "set", "env", "statefulset/numbered", "ROUND=2")
	c.eventually(t, "a pod is marked", func() error { return c.marked(t, "app=numbered") })
	c.remain(t, before)
	c.kubectl(t, "annotate", "statefulset/numbered", holdKey+"-")
	c.renewed(t, "numbered", 2)
}

// heldNode: a rollout goes on everywhere but there.
func heldNode(t *testing.T, c *cluster, name string) {
	before := c.podsReady(t, "everywhere", 3)
	c.kubectl(t, "label", "node", name, holdKey+"=true")
	c.kubectl(t, "set", "env", "daemonset/everywhere", "ROUND=2")
	there := slices.DeleteFunc(slices.Clone(before), func(p corev1.Pod) bool { return p.Spec.NodeName != name })
	c.eventually(t, "the others are replaced", func() error {
		for _, p := range c.podsReady(t, "everywhere", 3) {
			if (len(p.Spec.Containers[0].Env) == 0) != (p.Spec.NodeName == name) {
				return errors.New(brief(&p))
			}
		}
		return nil
	})
	c.eventually(t, "the one there is marked", func() error { return c.marked(t, "app=everywhere") })
	c.remain(t, there)
	c.kubectl(t, "label", "node", name, holdKey+"-")
	c.renewed(t, "everywhere", 3)
}

// remain looks for a while whether pods stay what they are.
func (c *cluster) remain(t *testing.T, pods []corev1.Pod) {
	t.Helper()
	for until := time.Now().Add(keptFor); time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
		if err := c.unchanged(t, pods); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *cluster) marked(t *testing.T, which string) error {
	list, err := c.api.CoreV1().Pods(inDefault).List(t.Context(), metav1.ListOptions{LabelSelector: which + "," + heldSince})
	if err != nil || len(list.Items) == 0 {
		return fmt.Errorf("none is, %w", err)
	}
	return nil
}

// renewed waits until all pods have the new template, and no mark.
func (c *cluster) renewed(t *testing.T, app string, many int) {
	t.Helper()
	began := time.Now()
	c.eventually(t, "all pods of "+app+" are new", func() error {
		for _, p := range c.podsReady(t, app, many) {
			if len(p.Spec.Containers[0].Env) == 0 || p.Labels[heldSince] != "" {
				return errors.New(brief(&p))
			}
		}
		return nil
	})
	t.Logf("%s goes on within %v", app, time.Since(began).Round(100*time.Millisecond))
}
