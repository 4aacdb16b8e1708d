package cluster_test

import (
	"net"
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/tests/testhost"
)

// TestAwkwardHost: a host that differs from the usual one in many ways at once still runs pods.
func TestAwkwardHost(t *testing.T) {
	n := newNode(t, []string{busybox},
		testhost.NoDefaultRoute(), testhost.Hostname("MyBox.Local"), testhost.Disk(1<<30), testhost.Memory(2<<30),
		testhost.ReadOnly("/proc/sys/net/netfilter"))
	others := map[string]string{
		"/etc/containerd/config.toml":    "version = 2\nroot = \"/var/lib/other\"\n",
		"/etc/cni/net.d/10-other.conf":   "{\"cniVersion\":\"1.0.0\",\"name\":\"other\",\"type\":\"no-such-plugin\"}\n",
		"/var/lib/containerd/other":      "of the other containerd\n",
		"/var/lib/docker/other":          "of docker\n",
		"/etc/docker/daemon.json":        "{}\n",
		"/root/.kube/config":             "of another cluster\n",
		"/var/lib/kubelet-other/keep.me": "of another kubelet\n",
	}
	for file, text := range others {
		n.host.Write(file, []byte(text))
	}
	n.occupy(t, "/run/containerd/containerd.sock")
	n.serve()
	n.ready(t)
	n.create(t, sleeper("first"))
	pod := n.podReady(t, "first")

	t.Run("the node has a lawful name", func(t *testing.T) {
		nodes, err := n.api.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		if err != nil || len(nodes.Items) != 1 || nodes.Items[0].Name != strings.ToLower(nodes.Items[0].Name) {
			t.Errorf("%v, %v", nodes.Items, err)
		}
	})
	t.Run("its pods are in our network", func(t *testing.T) {
		if !strings.HasPrefix(pod.Status.PodIP, "10.42.") {
			t.Errorf("pod address %s", pod.Status.PodIP)
		}
	})
	t.Run("Services work", func(t *testing.T) {
		n.apply(t, "demo.yaml")
		n.podsReady(t, "demo", 2)
		n.eventually(t, "the demo answers", func() error {
			_, err := n.fetch("http://" + n.clusterIP(t, "demo") + "/version")
			return err
		})
	})
	t.Run("what belongs to others is untouched", func(t *testing.T) {
		for file, text := range others {
			if now, err := n.host.Read(file); err != nil || string(now) != text {
				t.Errorf("%s: %q, %v", file, now, err)
			}
		}
	})
	t.Run("no warning is said twice", func(t *testing.T) {
		for line, count := range n.loggedWarnings() {
			if count > 1 {
				t.Errorf("%d times: %s", count, line)
			}
		}
	})
}

// loggedWarnings counts the warnings and errors of the server, without their times.
func (n *node) loggedWarnings() map[string]int {
	count := map[string]int{}
	for line := range strings.Lines(n.proc.Output()) {
		for _, level := range []string{"level=WARN", "level=ERROR", "WARN ", "ERROR "} {
			if at := strings.Index(line, level); at >= 0 {
				count[strings.TrimSpace(line[at:])]++
				break
			}
		}
	}
	return count
}

// occupy listens on a unix socket of the host, as another program would.
func (n *node) occupy(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(n.host.Path(path[:strings.LastIndex(path, "/")]), 0o755); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", n.host.Path(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
}

// TestTakenPorts: a port in use is named, with who may hold it and what to do.
func TestTakenPorts(t *testing.T) {
	n := newNode(t, nil)
	_ = n.skerry(t, "version") // unpacks its programs
	for _, c := range []struct {
		address string
		says    []string
	}{
		{"0.0.0.0:6443", []string{`6443`, `in use`, `holds the port`, `https-listen-port|another port|stop it`}},
		{"127.0.0.1:6444", []string{`6444`, `in use`, `holds the port`}},
		{"0.0.0.0:10250", []string{`10250`, `in use`, `holds the port`}},
		{"127.0.0.1:10248", []string{`10248`, `in use`, `holds the port`}},
	} {
		t.Run(c.address, func(t *testing.T) {
			listener := n.host.Listen(c.address)
			n.refuses(t, []string{"skerry", "server"}, c.says)
			_ = listener.Close()
			n.forget(t)
		})
	}
}

// TestLowInotifyLimits: with few inotify instances left the node raises the limit; where it may not, it says what to do.
func TestLowInotifyLimits(t *testing.T) {
	t.Run("raised", func(t *testing.T) {
		n := newNode(t, []string{busybox})
		n.lab.Inotify(4)
		n.serve()
		n.ready(t)
		n.create(t, sleeper("first"))
		_ = n.podReady(t, "first")
	})
	t.Run("read-only", func(t *testing.T) {
		n := newNode(t, nil, testhost.ReadOnly("/proc/sys/fs/inotify"))
		_ = n.skerry(t, "version") // unpacks its programs
		n.lab.Inotify(0)
		n.refuses(t, []string{"skerry", "server"}, []string{"inotify instances", "too many open files", "sysctl -w fs.inotify.max_user_instances"})
	})
}
