package cluster_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/tests/testhost"
)

const (
	passphraseFile = "/root/passphrase"
	backupFile     = "/root/cluster.backup"
	// handsWithin is how soon logs and exec reach an agent whose server lost its power, once another machine has its address.
	handsWithin = 15 * time.Second
	backupsDir  = "/srv/backups"
	// byName is a name of the server that goes with it from machine to machine.
	byName = "cluster.example"
	// podRange lies within what the hosts of a lab keep from leaving them.
	podRange = "10.42.128.0/17"
	// labelled are settings that the backup has as a file; scheduled are added to them for a while.
	labelled  = "node-label: [shelf=top]\n"
	scheduled = "backup-schedule: '@every 5s'\nbackup-retention: 2\nbackup-dir: " + backupsDir + "\nbackup-passphrase-file: " + passphraseFile + "\n"
)

// TestBackup: the machine of the server is lost, and another one takes its place with nothing but a file and its passphrase. The settings that
// the cluster counts on came as flags, which nobody remembers.
func TestBackup(t *testing.T) {
	c := newCluster(t, labelled+scheduled, []string{busybox})
	a := c.newAgent(t, "worker", nil)
	c.host.Write(passphraseFile, []byte("ten thousand lakes\n"))
	c.sh(t, "mkdir -p "+backupsDir+" && mount -t tmpfs -o ro none "+backupsDir)
	c.serve("--tls-san", byName, "--cluster-cidr", podRange)
	c.apiReady(t)
	a.finds(c.host)
	a.proc = a.host.Start("skerry", "agent", "--server", "https://"+byName+":6443", "--token", c.token(t))
	c.allReady(t)
	t.Run("a backup that cannot be made is told, and old ones go when new ones are there", c.keepsBackups)
	c.host.Write(configFile, []byte(labelled))
	c.kubectl(t, "create", "secret", "generic", "sealed", "--from-literal=word=skerry")
	for _, at := range []string{"server", "worker"} {
		c.create(t, readsSecret(webOn(at, "web-"+at, "web")))
		c.podReady(t, "web-"+at)
	}
	token, before := c.token(t), identity(c.pod(t, "web-worker"))
	c.saves(t)
	file, err := c.host.Read(backupFile)
	if err != nil {
		t.Fatal(err)
	}
	c.create(t, webOn("worker", "late", "late")) // which the backup does not know
	c.podReady(t, "late")
	c.host.PowerCut()

	second := c.another(t, "second", testhost.Hostname("server"))
	second.host.Readdress(c.host.Address())
	second.host.Write(backupFile, file)
	t.Run("a wrong passphrase changes nothing", func(t *testing.T) { second.refusesBackups(t, file) })
	t.Run("it is restored", func(t *testing.T) {
		second.host.Write(passphraseFile, []byte("ten thousand lakes\n"))
		t.Log(second.skerry(t, "restore", "--passphrase-file", passphraseFile, backupFile))
		c.node = second
		c.serve()
		c.apiReady(t)
	})
	t.Run("hands reach the agent as soon as it can know the other machine", func(t *testing.T) {
		began := time.Now()
		c.eventually(t, "exec in the agent's pod", func() error { return c.execs(t, "web-worker") })
		took := time.Since(began)
		t.Logf("after %v", took.Round(100*time.Millisecond))
		if took > handsWithin {
			t.Errorf("that is more than %v", handsWithin)
		}
	})
	t.Run("nodes and pods come back by themselves", func(t *testing.T) {
		c.podsBack(t, a, before, "server")
		if now := c.token(t); now != token {
			t.Errorf("the token was %s, and is %s", token, now)
		}
		c.create(t, webOn("worker", "fresh", "fresh"))
		c.podReady(t, "fresh")
		if labels := c.theNode(t, "server").Labels; labels["shelf"] != "top" {
			t.Errorf("the settings are not those of the backup: labels %v", labels)
		}
	})
	t.Run("a machine with a cluster is left alone, unless it is put aside for another engine", func(t *testing.T) {
		c.isRefused(t, "ledger", "restore", "--passphrase-file", passphraseFile, backupFile)
		c.stop(t)
		c.isRefused(t, "--force", "restore", "--passphrase-file", passphraseFile, backupFile)
		c.skerry(t, "backup", "--output", "/root/offline.backup", "--passphrase-file", passphraseFile)
		t.Log(c.skerry(t, "restore", "--force", "--to", "etcd", "--passphrase-file", passphraseFile, "/root/offline.backup"))
		c.serve()
		c.apiReady(t)
		c.podsBack(t, a, before, "server")
		if told := c.skerry(t, "kubectl", "get", "--raw", "/readyz/etcd"); strings.TrimSpace(told) != "ok" {
			t.Errorf("the datastore is %s", told)
		}
	})
	t.Run("a machine of another name and address is the cluster, once the server's name leads to it", func(t *testing.T) {
		c.saves(t)
		file, err := c.host.Read(backupFile)
		if err != nil {
			t.Fatal(err)
		}
		c.host.PowerCut()
		c.node = c.another(t, "third")
		c.host.Write(backupFile, file)
		c.host.Write(passphraseFile, []byte("ten thousand lakes\n"))
		t.Log(c.skerry(t, "restore", "--passphrase-file", passphraseFile, backupFile))
		c.serve()
		c.apiReady(t)
		a.finds(c.host)
		c.kubectl(t, "delete", "node", "server")
		c.podsBack(t, a, before, "third")
		if pods := c.theNode(t, "third").Spec.PodCIDR; !netip.MustParsePrefix(podRange).Contains(netip.MustParsePrefix(pods).Addr()) {
			t.Errorf("pods have addresses of %s, and the cluster's are %s", pods, podRange)
		}
	})
}

// another is a machine that nothing ever ran on.
func (c *cluster) another(t *testing.T, name string, options ...testhost.Option) *node {
	t.Helper()
	n := &node{lab: c.lab, host: c.lab.Host(name, append(programs(t), options...)...)}
	n.place(t, archive(t, busybox))
	return n
}

// finds has the server's name lead to a host.
func (a *agent) finds(server *testhost.Host) {
	a.host.Write("/etc/hosts", []byte("127.0.0.1 localhost\n"+server.Address()+" "+byName+"\n"))
}

func (n *node) sh(t *testing.T, script string) string {
	t.Helper()
	out, err := n.host.Run(t.Context(), "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// keepsBackups checks the schedule, on a place that cannot be written at first.
func (c *cluster) keepsBackups(t *testing.T) {
	s := c.statusUntil(t, "the failure is told", func(s told) bool { return s.row("backups", "backup").State == "failed" })
	if row := s.row("backups", "backup"); s.Well || row.OK || !strings.Contains(row.Error, "read-only") {
		t.Errorf("well: %v, %+v", s.Well, row)
	}
	if out, err := c.try(t, "status"); err == nil || !strings.Contains(out, "read-only") {
		t.Errorf("status says, with %v,\n%s", err, out)
	}
	c.eventually(t, "there is an Event with the Node", func() error {
		events, err := c.api.CoreV1().Events(inDefault).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=BackupFailed,involvedObject.name=server"})
		if err != nil || len(events.Items) != 1 || !strings.Contains(events.Items[0].Message, "read-only") {
			return fmt.Errorf("%v, %w", events.Items, err)
		}
		return nil
	})
	c.measures(t, "skerry_backup_ok 0")
	c.sh(t, "mount -o remount,rw "+backupsDir)
	seen := map[string]bool{}
	c.eventually(t, "four are made", func() error {
		for _, name := range c.kept(t, true) {
			seen[name] = true
		}
		if len(seen) == 1 && len(c.kept(t, false)) == 0 {
			c.skerry(t, "backup") // by the same settings
		}
		if len(seen) < 4 {
			return fmt.Errorf("%d are", len(seen))
		}
		return nil
	})
	c.eventually(t, "two of them are there, and the one that was made by hand", func() error {
		if mine, theirs := c.kept(t, false), c.kept(t, true); len(mine) != 1 || len(theirs) != 2 {
			return fmt.Errorf("there are %q and %q", mine, theirs)
		}
		return nil
	})
	c.measures(t, "skerry_backup_ok 1")
	if s := c.status(t); !s.Well || s.row("backups", "last backup").State != "made" || s.row("backups", "backup").State != "" {
		t.Errorf("it is told that %+v", s)
	}
}

// kept lists the backups that the schedule made, or those of the operator.
func (n *node) kept(t *testing.T, scheduled bool) (names []string) {
	t.Helper()
	var all []struct {
		Name      string
		Scheduled bool
	}
	if err := json.Unmarshal([]byte(n.skerry(t, "backup", "list", "-o", "json")), &all); err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		if b.Scheduled == scheduled {
			names = append(names, b.Name)
		}
	}
	return names
}

// measures wants a line among the metrics.
func (n *node) measures(t *testing.T, line string) {
	t.Helper()
	if text := n.kubectl(t, "get", "--raw", "/v1-skerry/metrics"); !strings.Contains(text, "\n"+line+"\n") {
		t.Errorf("no %q in\n%s", line, text)
	}
}

// readsSecret has a pod want the Secret.
func readsSecret(pod *corev1.Pod) *corev1.Pod {
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "WORD", ValueFrom: &corev1.EnvVarSource{
		SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "sealed"}, Key: "word"}}}}
	return pod
}

// saves makes a backup of the running server, in a file and by way of standard output.
func (n *node) saves(t *testing.T) {
	t.Helper()
	n.skerry(t, "backup", "--output", backupFile, "--passphrase-file", passphraseFile)
	n.skerry(t, "backup", "verify", "--passphrase-file", passphraseFile, backupFile)
	if _, err := n.host.Run(t.Context(), "sh", "-c", "skerry backup -o - --passphrase-file "+passphraseFile+" > /root/piped.backup"); err != nil {
		t.Fatal(err)
	}
	told := n.skerry(t, "backup", "verify", "--passphrase-file", passphraseFile, "/root/piped.backup")
	if !strings.Contains(told, "the backup is whole") {
		t.Errorf("it says %s", told)
	}
}

// refusesBackups checks that neither a wrong passphrase nor a damaged file leaves a trace.
func (n *node) refusesBackups(t *testing.T, file []byte) {
	n.host.Write(passphraseFile, []byte("a thousand islands\n"))
	n.isRefused(t, "the passphrase does not open the backup", "restore", "--passphrase-file", passphraseFile, backupFile)
	n.host.Write(passphraseFile, []byte("ten thousand lakes\n"))
	n.host.Write("/root/cut.backup", file[:len(file)-100])
	n.isRefused(t, "damaged", "restore", "--passphrase-file", passphraseFile, "/root/cut.backup")
	out, err := n.host.Run(t.Context(), "sh", "-c", "ls /var/lib/skerry/server /etc/skerry 2>/dev/null || true")
	if err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("there is %s, %v", out, err)
	}
}

func (n *node) isRefused(t *testing.T, why string, args ...string) {
	t.Helper()
	if out, err := n.try(t, args...); err == nil || !strings.Contains(out+err.Error(), why) {
		t.Errorf("skerry %v: %v, and not %q\n%s", args, err, why, out)
	}
}

// podsBack waits until the cluster is as it was when the backup was made, with a server of that name.
func (c *cluster) podsBack(t *testing.T, a *agent, before, server string) {
	c.eventually(t, "both nodes are Ready", func() error {
		c.alive(t)
		return c.readyAre(t, server, "worker")
	})
	pods := []string{"web-worker"}
	if server == "server" { // pods stay with the node of that name
		pods = append(pods, "web-server")
	}
	for _, name := range pods {
		c.eventually(t, name+" runs and has its secret", func() error { // the API remembers that it was ready on the machine that is lost
			got, err := c.try(t, "kubectl", "exec", name, "--", "sh", "-c", "echo $WORD")
			if err != nil || strings.TrimSpace(got) != "skerry" {
				return errors.Join(err, fmt.Errorf("it has %q", got))
			}
			return nil
		})
		c.podReady(t, name)
	}
	if now := identity(c.pod(t, "web-worker")); now != before {
		t.Errorf("the agent's pod was\n%s\nis\n%s", before, now)
	}
	c.eventually(t, "the agent ends the pod that the cluster does not know any more", func() error {
		out, err := a.try(t, "crictl", "pods", "--name", "late", "--state", "ready", "-q")
		if err != nil || strings.TrimSpace(out) != "" {
			return errors.Join(err, fmt.Errorf("there is %s", out))
		}
		return nil
	})
	if _, err := c.api.CoreV1().Pods(inDefault).Get(t.Context(), "late", metav1.GetOptions{}); err == nil {
		t.Error("a pod that was made after the backup is there")
	}
}
