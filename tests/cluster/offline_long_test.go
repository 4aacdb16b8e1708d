package cluster_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	longAlone   = 15 * time.Minute
	longLife    = 2 * time.Minute // of a certificate
	longLogs    = 300             // lines that a node may write while it is alone so long: one each three seconds
	longEvery   = 5 * time.Second
	longPatient = 5 * time.Second // how long an answer may take on a busy machine
)

// TestOfflineForLong: a day alone, in short: certificates live for two minutes, and no server is in reach for many of their lives. All
// pods answer all the while, none is started again, and when the server is back both agree soon.
func TestOfflineForLong(t *testing.T) {
	if os.Getenv("SKERRY_LONG") == "" {
		t.Skip("it takes 17 minutes: SKERRY_LONG=1 runs it")
	}
	c := newCluster(t, "node-certificate-lifetime: "+longLife.String()+"\n", []string{busybox})
	far := c.newAgent(t, "far", nil)
	c.start(t)
	o := &offline{cluster: c, far: far, token: c.token(t), url: c.url()}
	c.apply(t, "offline.yaml")
	before := o.podsOf(t)
	o.answers(t, patience, 1)
	containers := o.containers(t)
	c.host.PowerCut()
	o.aloneFor(t, longAlone)
	if err := far.over(t); err != nil {
		t.Errorf("its certificate is not over: %v", err)
	}
	if now := o.containers(t); now != containers {
		t.Errorf("containers were\n%s\nare\n%s", containers, now)
	}
	c.host.Boot()
	c.serve()
	c.apiReady(t)
	began := time.Now()
	c.nodeUntil(t, "far", "is Ready with a new certificate", func(n *corev1.Node) error {
		if why := notReady(n); why != "" {
			return errors.New(why)
		}
		if far.over(t) == nil {
			return errors.New("it is over")
		}
		return nil
	})
	c.eventually(t, "the server reaches its pods", func() error { return c.execs(t, "filled", "probed") })
	t.Logf("all is well %v after the server is", time.Since(began).Round(100*time.Millisecond))
	if took := time.Since(began); took > caughtUpWithin {
		t.Errorf("that is more than %v", caughtUpWithin)
	}
	for name, now := range o.podsOf(t) {
		if was := before[name]; was == nil || was.UID != now.UID || restartsOf(was) != restartsOf(now) {
			t.Errorf("%s is another, or was started again: %s", name, brief(now))
		}
	}
	if now := o.containers(t); now != containers {
		t.Errorf("when the server is back, containers were\n%s\nare\n%s", containers, now)
	}
	o.answers(t, backWithin, 1)
}

// aloneFor wants all that is asked for from outside to be answered at any time.
func (o *offline) aloneFor(t *testing.T, long time.Duration) {
	t.Helper()
	lines := strings.Count(o.far.proc.Output(), "\n")
	asked := 0
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(longEvery) {
		for _, port := range []string{"30080/version", "30081/version", "30082/index.html", "30083/index.html"} {
			o.within(t, longPatient, "port "+port+" answers", func() error {
				_, err := get(o.lab.HTTP(), "http://"+o.far.host.Address()+":"+port)
				return err
			})
			asked++
		}
	}
	wrote := strings.Count(o.far.proc.Output(), "\n") - lines
	t.Logf("%d answers; the node wrote %d lines meanwhile", asked, wrote)
	if wrote > longLogs {
		t.Errorf("it wrote too much:\n%s", tail(o.far.proc.Output(), 40))
	}
}

func restartsOf(p *corev1.Pod) string {
	var all []string
	for _, s := range p.Status.ContainerStatuses {
		all = append(all, fmt.Sprint(s.RestartCount))
	}
	return strings.Join(all, " ")
}
