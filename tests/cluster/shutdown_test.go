package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	corev1 "k8s.io/api/core/v1"
)

// busConfig lets anyone on the bus be logind.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true"/><allow receive_requested_reply="true"/><allow receive_sender="*"/></policy></busconfig>`

const (
	logindPath      = dbus.ObjectPath("/org/freedesktop/login1")
	logindInterface = "org.freedesktop.login1.Manager"
)

// logind is as much of systemd-logind as a shutdown needs: one who can be asked to wait, and who announces.
type logind struct {
	bus  *dbus.Conn
	held chan lock
}

// lock is a pipe: the shutdown waits while anyone has its far end open.
type lock struct{ near, far *os.File }

// Inhibit hands out the far end of a lock.
func (l *logind) Inhibit(_, who, _, _ string) (dbus.UnixFD, *dbus.Error) {
	near, far, err := os.Pipe()
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	if who == "kubelet" {
		l.held <- lock{near, far}
	}
	return dbus.UnixFD(far.Fd()), nil
}

// Get answers for the properties: a minute is how long a shutdown can be put off.
func (l *logind) Get(_, name string) (dbus.Variant, *dbus.Error) {
	if name != "InhibitDelayMaxUSec" {
		return dbus.Variant{}, dbus.MakeFailedError(fmt.Errorf("no property %s", name))
	}
	return dbus.MakeVariant(uint64(time.Minute / time.Microsecond)), nil
}

// withLogind runs a bus in the host and stands in for logind on it.
func withLogind(t *testing.T, n *node) *logind {
	t.Helper()
	n.host.Write("/etc/test-bus.conf", []byte(busConfig))
	n.host.Write("/run/systemd/seats/.keep", nil)
	n.host.Write("/run/dbus/.keep", nil)
	n.host.Start("dbus-daemon", "--config-file=/etc/test-bus.conf", "--nofork", "--nopidfile")
	l := &logind{held: make(chan lock, 1)}
	n.eventually(t, "the bus answers", func() (err error) {
		l.bus, err = dbus.Connect("unix:path=" + filepath.Join(n.host.Root(), "run/dbus/system_bus_socket"))
		return err
	})
	t.Cleanup(func() { _ = l.bus.Close() })
	for _, name := range []string{logindInterface, "org.freedesktop.DBus.Properties"} {
		if err := l.bus.Export(l, logindPath, name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.bus.RequestName("org.freedesktop.login1", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return l
}

// shutDown announces that the machine goes down, and waits until the kubelet lets it.
func (l *logind) shutDown(t *testing.T) {
	t.Helper()
	var inhibitor lock
	select {
	case inhibitor = <-l.held:
	case <-time.After(patience):
		t.Fatal("the kubelet never asked logind to wait for it")
	}
	if err := inhibitor.far.Close(); err != nil { // the kubelet has its own copy by now
		t.Fatal(err)
	}
	if err := l.bus.Emit(logindPath, logindInterface+".PrepareForShutdown", true); err != nil {
		t.Fatal(err)
	}
	released := make(chan error, 1)
	go func() {
		_, err := inhibitor.near.Read(make([]byte, 1)) // ends when the kubelet lets go of its end
		released <- err
	}()
	select {
	case <-released:
	case <-time.After(time.Minute):
		t.Fatal("the kubelet still holds the shutdown after a minute")
	}
}

// TestGracefulShutdown: when the host goes down, pods are ended in order before it does.
func TestGracefulShutdown(t *testing.T) {
	n := newNode(t, []string{busybox})
	l := withLogind(t, n)
	n.serve()
	n.ready(t)
	n.create(t, sleeper("sleeper"))
	n.podReady(t, "sleeper")

	l.shutDown(t)
	if running := strings.Join(n.host.Processes(), "\n"); strings.Contains(running, "sleep 1000000") {
		t.Errorf("the shutdown may go on, but the pod still runs:\n%s", running)
	}
}

// TestOfflineShutdown: a node that is shut down in good order while no server is in reach runs its pods again when it boots, still alone. The
// kubelet has said that they failed; whoever would replace them is not there.
func TestOfflineShutdown(t *testing.T) {
	c := newCluster(t, "", []string{busybox})
	far := c.newAgent(t, "far", nil)
	l := withLogind(t, far.node)
	c.start(t)
	c.create(t, webOn("far", "web-far", "web"))
	c.service(t, "web", "web", 30093)
	far.answersOn(t, "30093")
	start := []string{"skerry", "agent", "--server", c.url(), "--token", c.token(t)}
	before := c.podReady(t, "web-far")
	c.host.PowerCut()
	far.isAlone(t)

	l.shutDown(t)
	far.stop(t)
	far.host.PowerCycle()
	booted := time.Now()
	far.proc = far.host.Start(start...)
	far.answersOn(t, "30093")
	t.Logf("its pod answers %v after the boot", time.Since(booted).Round(100*time.Millisecond))

	c.host.Boot()
	c.serve()
	c.apiReady(t)
	c.allReady(t)
	c.podUntil(t, "web-far", "is known to run again, as the same pod", func(p *corev1.Pod) error {
		if !isReady(p) || p.UID != before.UID || identity(p) == identity(before) {
			return fmt.Errorf("it is %s, and was %s", identity(p), identity(before))
		}
		return nil
	})
	far.answersOn(t, "30093")
}
