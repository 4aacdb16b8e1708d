package cluster_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// backWithin is how soon after its boot a node answers again with no server in reach.
	backWithin = 20 * time.Second
	// caughtUpWithin is how soon after a server is back it and the node agree.
	caughtUpWithin = 15 * time.Second
	offlinePods    = 10
	cacheFile      = "/var/lib/skerry/agent/cache/objects"
)

// TestOffline: an agent that reboots while no server is in reach runs its pods again, and those who ask them get their
// answers; when the server is back, both agree soon.
func TestOffline(t *testing.T) {
	c := newCluster(t, "", []string{busybox})
	far := c.newAgent(t, "far", nil)
	c.start(t)
	o := &offline{cluster: c, far: far, token: c.token(t), url: c.url()}
	c.apply(t, "offline.yaml")
	o.podsOf(t)
	o.answers(t, patience, 1)
	o.guards(t, patience)
	t.Run("another namespace's secret is not for pods", func(t *testing.T) { o.refused(t) })
	t.Run("a pod asks the API", func(t *testing.T) { o.asks(t, http.StatusOK) })
	o.settled(t)

	c.host.PowerCut()
	for boot := 2; boot <= 3; boot++ {
		t.Run(fmt.Sprintf("start %d alone", boot), func(t *testing.T) {
			far.host.PowerCycle()
			began := time.Now()
			o.start()
			o.answers(t, backWithin, boot)
			t.Logf("all answers are back %v after the boot", time.Since(began).Round(100*time.Millisecond))
			o.guards(t, backWithin-time.Since(began))
			o.alone(t)
		})
	}
	t.Run("nor is it with no server in reach", func(t *testing.T) { o.refused(t) })
	t.Run("a pod asks the API with no server in reach", func(t *testing.T) { o.asks(t, http.StatusServiceUnavailable) })
	t.Run("restarted without a reboot", func(t *testing.T) { o.restarted(t) })
	t.Run("the server is back", func(t *testing.T) { o.reunited(t) })
	t.Run("a pod asks the server again", func(t *testing.T) { o.trusts(t) })
	t.Run("killed while it writes", func(t *testing.T) { o.killed(t) })
}

type offline struct {
	*cluster
	far        *agent
	token, url string
}

// start starts the agent as it was started first.
func (o *offline) start() {
	o.far.proc = o.far.host.Start("skerry", "agent", "--server", o.url, "--token", o.token)
}

// podsOf waits until all pods are ready, and gives them by their names.
func (o *offline) podsOf(t *testing.T) map[string]*corev1.Pod {
	t.Helper()
	found := map[string]*corev1.Pod{}
	o.eventually(t, "all pods are ready", func() error {
		clear(found)
		list, err := o.api.CoreV1().Pods(inDefault).List(t.Context(), metav1.ListOptions{LabelSelector: "set=offline"})
		if err != nil {
			return err
		}
		for i := range list.Items {
			p := &list.Items[i]
			if !isReady(p) {
				return fmt.Errorf("%s: %s", p.Name, brief(p))
			}
			found[p.Name] = p
		}
		if len(found) != offlinePods {
			return fmt.Errorf("there are %d of %d", len(found), offlinePods)
		}
		return nil
	})
	return found
}

// answers waits until every Service answers, those with a port of the node's from outside; boots is how often the
// StatefulSet's pod has begun.
func (o *offline) answers(t *testing.T, within time.Duration, boots int) {
	t.Helper()
	began := time.Now()
	for _, want := range []struct{ port, path, answer string }{
		{"30080", "/version", ""}, {"30081", "/version", ""}, {"30082", "/index.html", "configured hidden ey trusted"}, {"30083", "/index.html", "prepared"},
	} {
		o.within(t, within-time.Since(began), "port "+want.port+" answers", func() error {
			out, err := get(o.lab.HTTP(), "http://"+o.far.host.Address()+":"+want.port+want.path)
			if err == nil && (want.answer != "" && out != want.answer) {
				err = fmt.Errorf("it says %q", out)
			}
			return err
		})
		t.Logf("port %s answers after %v", want.port, time.Since(began).Round(100*time.Millisecond))
	}
	o.within(t, within-time.Since(began), "the StatefulSet's pod answers by its name", func() error {
		ip := lookup(o.far.host.Dial, dnsAddress+":53", "stateful-0.stateful.default.svc.cluster.local")
		out, err := o.far.fetch("http://" + ip + ":8080/index.html")
		if got := strings.Count(out, "boot"); err == nil && got != boots {
			err = fmt.Errorf("it has begun %d times, not %d", got, boots)
		}
		return err
	})
}

func (o *offline) within(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	o.far.host.Eventually(limit, what, func() error {
		if !o.far.proc.Running() {
			t.Fatalf("skerry ended; it wrote\n%s", tail(o.far.proc.Output(), 30))
		}
		return check()
	})
}

// settled waits until what the node knows is on disk, and stays the same.
func (o *offline) settled(t *testing.T) {
	t.Helper()
	last, since := int64(-1), time.Now()
	o.eventually(t, "the cache is written", func() error {
		text, err := o.far.host.Read(cacheFile)
		if err != nil {
			return err
		}
		if int64(len(text)) != last {
			last, since = int64(len(text)), time.Now()
		}
		if strings.Contains(string(text), "hidden") {
			t.Fatal("the secret can be read in the cache")
		}
		if time.Since(since) < 18*time.Second { // longer than the pause between two writings
			return fmt.Errorf("it grew to %d bytes", last)
		}
		return nil
	})
	t.Logf("the cache has %d bytes", last)
}

// alone wants the status to say that no server is in reach.
func (o *offline) alone(t *testing.T) {
	t.Helper()
	o.within(t, backWithin, "status says that it is offline, and all services are ready", func() error {
		out, _ := o.far.try(t, "status") // it ends with an error, as something is not well
		if !strings.Contains(out, "offline since") {
			return fmt.Errorf("it says\n%s", out)
		}
		s := o.far.status(t)
		for _, service := range s.Services {
			if service.Phase != "ready" {
				return fmt.Errorf("%s is %s: %s", service.Name, service.Phase, service.Error)
			}
		}
		return nil
	})
}

// guards wants a policy to hold, between pods of the node and by the name of a Service.
func (o *offline) guards(t *testing.T, within time.Duration) {
	t.Helper()
	asks := func(pod string) (string, error) {
		ip := lookup(o.far.host.Dial, dnsAddress+":53", "guarded.default.svc.cluster.local")
		return o.inside(t, pod, "sh", "-c", "printf 'GET /version HTTP/1.0\\r\\n\\r\\n' | nc -w 2 "+ip+" 80")
	}
	o.within(t, within, "the guarded pod answers whom it may", func() error {
		out, err := asks("filled")
		if err == nil && !strings.Contains(out, "200 OK") {
			err = fmt.Errorf("it says %q", out)
		}
		return err
	})
	if out, _ := asks("probed"); out != "" {
		t.Errorf("another pod is answered: %s", out)
	}
}

// inside runs a program in a pod of the node, which needs no server.
func (o *offline) inside(t *testing.T, pod string, program ...string) (string, error) {
	t.Helper()
	out, err := o.far.try(t, "crictl", "ps", "-q", "--name", "main", "--label", "io.kubernetes.pod.name="+pod)
	if err != nil {
		return "", err
	}
	return o.far.try(t, append([]string{"crictl", "exec", strings.TrimSpace(out)}, program...)...)
}

// restarted: an agent that starts again while its pods run adopts them, with no server in reach.
func (o *offline) restarted(t *testing.T) {
	before := o.containers(t)
	o.far.proc.Kill()
	o.start()
	o.alone(t)
	o.answers(t, backWithin, 3)
	if now := o.containers(t); now != before {
		t.Errorf("containers were\n%s\nare\n%s", before, now)
	}
}

// containers are the numbers of all that run.
func (o *offline) containers(t *testing.T) string {
	t.Helper()
	out, err := o.far.try(t, "crictl", "ps", "-q")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// reunited: the server boots; one object is deleted, one added and one changed before the agent is in reach of it.
func (o *offline) reunited(t *testing.T) {
	before := o.containers(t)
	o.host.Boot()
	o.lab.Cut(o.host, o.far.host)
	o.serve()
	o.apiReady(t)
	o.kubectl(t, "delete", "pod", "probed", "--wait=false")
	o.kubectl(t, "scale", "deployment", "replicas", "--replicas=4")
	o.create(t, webOn("far", "added", "added"))
	o.kubectl(t, "patch", "configmap", "later", "-p", `{"data":{"word":"after"}}`)
	o.lab.Mend(o.host, o.far.host)
	began := time.Now()
	o.within(t, 2*caughtUpWithin, "both agree", func() error { return o.agree(t) })
	took := time.Since(began)
	t.Logf("both agree %v after the link is back", took.Round(100*time.Millisecond))
	if took > caughtUpWithin {
		t.Errorf("that is more than %v", caughtUpWithin)
	}
	added := o.far.mainOf(t, "added")
	for id := range strings.Lines(o.containers(t)) {
		if id = strings.TrimSpace(id); !strings.Contains(before, id) && id != added {
			t.Errorf("container %s was not there before", id)
		}
	}
}

// agree wants what was deleted to be gone on the node, and the statuses to be those of the node's pods.
func (o *offline) agree(t *testing.T) error {
	if _, err := o.api.CoreV1().Pods(inDefault).Get(t.Context(), "probed", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return errors.Join(errors.New("the deleted pod is there"), err)
	}
	list, err := o.api.CoreV1().Pods(inDefault).List(t.Context(), metav1.ListOptions{LabelSelector: "set=offline"})
	if err != nil {
		return err
	}
	if len(list.Items) != offlinePods-2 {
		return fmt.Errorf("there are %d pods", len(list.Items))
	}
	added, err := o.api.CoreV1().Pods(inDefault).Get(t.Context(), "added", metav1.GetOptions{})
	if err != nil {
		return err
	}
	list.Items = append(list.Items, *added)
	running := o.containers(t)
	for i := range list.Items {
		p := &list.Items[i]
		for _, s := range p.Status.ContainerStatuses {
			if _, id, _ := strings.Cut(s.ContainerID, "//"); !isReady(p) || !strings.Contains(running, id) {
				return fmt.Errorf("%s is said to be %s", p.Name, brief(p))
			}
		}
	}
	return o.readyAre(t, o.names()...)
}

// killed: the agent is killed again and again while its cache is written, and starts alone with what is there.
func (o *offline) killed(t *testing.T) {
	for round := range 3 {
		o.kubectl(t, "create", "configmap", fmt.Sprintf("noise-%d", round), "--from-literal=a=b")
		o.kubectl(t, "create", "deployment", fmt.Sprintf("noise-%d", round), "--image=localhost/skerry/demo:1")
		time.Sleep(time.Duration(1500+300*round) * time.Millisecond)
		o.far.proc.Kill()
		o.start()
	}
	o.kubectl(t, "delete", "deployment", "noise-0", "noise-1", "noise-2")
	o.allReady(t)
	o.host.PowerCut()
	o.far.host.PowerCycle()
	began := time.Now()
	o.start()
	o.within(t, backWithin, "the node answers", func() error {
		_, err := get(o.lab.HTTP(), "http://"+o.far.host.Address()+":30081/version")
		return err
	})
	t.Logf("it answers %v after the boot", time.Since(began).Round(100*time.Millisecond))
}
