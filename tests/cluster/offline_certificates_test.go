package cluster_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// certificateLife is a day and more of a node that is away, in short.
	certificateLife = 30 * time.Second
	clockNote       = "/var/lib/skerry/agent/clock"
)

// TestOfflineCertificates: nodes are away for longer than their certificates are good. They work on, and start, alone; when a
// server is back they renew with their key, also when the token is another by then. One that was given up stays out.
func TestOfflineCertificates(t *testing.T) {
	c := newCluster(t, "node-certificate-lifetime: "+certificateLife.String()+"\n", []string{busybox})
	reboots, stays, gone := c.newAgent(t, "reboots", nil), c.newAgent(t, "stays", nil), c.newAgent(t, "gone", nil)
	reboots.clockAhead(t)
	c.start(t)
	t.Run("a clock that may not be set is told of", func(t *testing.T) { reboots.lags(t) })
	for _, a := range []*agent{reboots, stays} {
		c.create(t, webOn(a.name, "web-"+a.name, "web"))
	}
	c.service(t, "web", "web", 30090)
	c.podsReady(t, "web", 2)
	for _, a := range []*agent{reboots, stays} {
		a.kept(t)
	}
	token := c.token(t)
	gone.host.PowerCut()
	c.host.PowerCut()

	for _, a := range []*agent{reboots, stays} {
		a.eventually(t, "the certificates of "+a.name+" are over", func() error { return a.over(t) })
	}
	t.Run("they work on alone", func(t *testing.T) {
		stays.answersOn(t, "30090")
		reboots.host.PowerCycle()
		began := time.Now()
		reboots.proc = reboots.host.Start("skerry", "agent", "--server", c.url(), "--token", token)
		reboots.answersOn(t, "30090")
		t.Logf("the rebooted one answers %v after its boot", time.Since(began).Round(100*time.Millisecond))
		if out := reboots.proc.Output(); !strings.Contains(out, "goes on alone") {
			t.Errorf("it wrote\n%s", tail(out, 20))
		}
	})
	t.Run("they renew with their key", func(t *testing.T) {
		c.host.Boot()
		c.serve()
		c.apiReady(t)
		began := time.Now()
		c.skerry(t, "token", "rotate")
		for _, a := range []*agent{reboots, stays} {
			c.nodeUntil(t, a.name, "is Ready with new certificates", func(n *corev1.Node) error {
				if why := notReady(n); why != "" {
					return errors.New(why)
				}
				if a.over(t) == nil {
					return errors.New("they are over")
				}
				return nil
			})
		}
		c.eventually(t, "the server reaches their kubelets", func() error { return c.execs(t, "web-reboots", "web-stays") })
		t.Logf("all is well %v after the server is", time.Since(began).Round(100*time.Millisecond))
		if took := time.Since(began); took > caughtUpWithin {
			t.Errorf("that is more than %v", caughtUpWithin)
		}
	})
	t.Run("one that was given up stays out", func(t *testing.T) {
		c.kubectl(t, "delete", "node", "gone")
		gone.host.Boot()
		gone.proc = gone.host.Start("skerry", "agent", "--server", c.url(), "--token", token)
		err := gone.proc.Wait(time.Minute)
		_, said, _ := strings.Cut(gone.proc.Output(), "\nskerry: ")
		if err == nil || strings.Count(said, "to cure") != 1 || !strings.Contains(said, "was deleted while its certificates ran out") {
			t.Errorf("%v; it wrote\n%s", err, tail(gone.proc.Output(), 10))
		}
	})
}

// clockAhead notes that it was tomorrow already. No program of a host may set the clock, so this is only told.
func (a *agent) clockAhead(t *testing.T) {
	t.Helper()
	a.host.Write(clockNote, nil)
	tomorrow := time.Now().Add(24 * time.Hour)
	if err := os.Chtimes(a.host.Path(clockNote), tomorrow, tomorrow); err != nil {
		t.Fatal(err)
	}
}

// lags wants the clock to be as it was, and that to be told.
func (a *agent) lags(t *testing.T) {
	began := time.Now()
	if out := a.proc.Output(); strings.Count(out, "before the last time that is known, and is not set") != 1 {
		t.Errorf("it wrote\n%s", tail(out, 20))
	}
	out, _ := a.try(t, "status")
	if !strings.Contains(out, "behind") {
		t.Errorf("status says\n%s", out)
	}
	if time.Since(began) > time.Hour {
		t.Fatal("the clock was set")
	}
}

// kept waits until what the node knows of its pod is on disk.
func (a *agent) kept(t *testing.T) {
	t.Helper()
	began := time.Now()
	a.eventually(t, "the cache of "+a.name+" was written", func() error {
		info, err := os.Stat(a.host.Path(cacheFile))
		if err != nil {
			return err
		}
		if info.ModTime().Before(began) && time.Since(began) < 16*time.Second { // the pause between two writings
			return errors.New("not since its pod is ready")
		}
		return nil
	})
}

// over is nil when the kubelet's certificate, as it is on disk, does not count any more.
func (a *agent) over(t *testing.T) error {
	t.Helper()
	cert, err := a.certificate()
	if err != nil {
		return err
	}
	if left := time.Until(cert.NotAfter); left > 0 {
		return fmt.Errorf("%v are left", left.Round(time.Second))
	}
	return nil
}

// certificate is the kubelet's, as it is on disk.
func (a *agent) certificate() (*x509.Certificate, error) {
	text, err := a.host.Read("/var/lib/skerry/agent/joined.json")
	if err != nil {
		return nil, err
	}
	var kept struct{ Kubelet string }
	if err := json.Unmarshal(text, &kept); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(kept.Kubelet))
	if block == nil {
		return nil, errors.New("there is no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// answersOn waits until the node's own pod answers on a port of the node.
func (a *agent) answersOn(t *testing.T, port string) {
	t.Helper()
	a.host.Eventually(backWithin, a.name+" answers on port "+port, func() error {
		if !a.proc.Running() {
			t.Fatalf("skerry ended; it wrote\n%s", tail(a.proc.Output(), 30))
		}
		out, err := get(a.lab.HTTP(), "http://"+a.host.Address()+":"+port+"/index.html")
		if err == nil && out != "web-"+a.name { // another node's may answer, too
			err = fmt.Errorf("it says %q", out)
		}
		return err
	})
}
