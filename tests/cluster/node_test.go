package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-io/skerry/tests/crowd"
	"github.com/skerry-io/skerry/tests/testhost"
	"github.com/skerry-io/skerry/tests/wallclock"
)

// TestMain is the tests, the first process of a host, a crowd of agents in one, or what gives a program another clock.
func TestMain(m *testing.M) {
	var err error
	switch filepath.Base(os.Args[0]) {
	case crowdName:
		err = crowd.Main(context.Background(), os.Args[1:], os.Stdout)
	case wallclock.Name:
		err = wallclock.Main(os.Args[1:])
	default:
		testhost.Main(m)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

const (
	kubeconfig = "/etc/skerry/skerry.yaml"
	imagesDir  = "/var/lib/skerry/agent/images"
	// patience is how long anything may take on a slow, busy machine. A test that passes does not wait for it.
	patience = 2 * time.Minute
)

// node is a host with a Skerry server on it.
type node struct {
	lab  *testhost.Lab
	host *testhost.Host
	proc *testhost.Proc
	api  kubernetes.Interface // after ready
}

// newNode makes a host with the skerry binary and, in the images folder, the named test images. It starts nothing.
func newNode(t *testing.T, images []string, options ...testhost.Option) *node {
	t.Helper()
	programs := programs(t)
	for _, name := range images {
		archive(t, name) // made before the clock of any test runs
	}
	lab := testhost.New(t)
	n := &node{lab: lab, host: lab.Host("server", append(programs, options...)...)}
	for _, name := range images {
		n.place(t, archive(t, name))
	}
	lab.OnFailure(n.report)
	return n
}

// startNode is a node that is up.
func startNode(t *testing.T, images []string, options ...testhost.Option) *node {
	t.Helper()
	n := newNode(t, images, options...)
	n.serve()
	n.ready(t)
	return n
}

// programs shows the binary under test to a host. A binary that is not packaged needs its helper programs beside it.
func programs(t *testing.T) []testhost.Option {
	t.Helper()
	file := os.Getenv("SKERRY_BIN")
	if file == "" {
		file = "../../bin/skerry"
	}
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("no skerry binary to test: %v; run `make build`, or set SKERRY_BIN", err)
	}
	shown := []testhost.Option{testhost.Program("skerry", file)}
	if _, err := os.Stat(filepath.Join(filepath.Dir(file), "containerd-shim-runc-v2")); err == nil {
		helpers, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*"))
		for _, helper := range helpers {
			shown = append(shown, testhost.Program(filepath.Base(helper), helper))
		}
	}
	return shown
}

// place copies an archive into the images folder of the host, under its own name.
func (n *node) place(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n.host.Write(filepath.Join(imagesDir, filepath.Base(file)), data)
}

// serve starts `skerry server` and does not wait.
func (n *node) serve(args ...string) {
	n.proc = n.host.Start(append([]string{"skerry", "server"}, args...)...)
}

// ready waits until the API server answers and the node says Ready.
func (n *node) ready(t *testing.T) {
	t.Helper()
	n.apiReady(t)
	n.eventually(t, "the node is Ready", func() error {
		nodes, err := n.api.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(nodes.Items) != 1 {
			return fmt.Errorf("there are %d nodes", len(nodes.Items))
		}
		for _, c := range nodes.Items[0].Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("conditions: %v", nodes.Items[0].Status.Conditions)
	})
}

// apiReady waits until /readyz is fine and makes the client.
func (n *node) apiReady(t *testing.T) {
	t.Helper()
	n.eventually(t, "the API server is ready", func() error {
		api, err := n.client()
		if err != nil {
			return err
		}
		n.api = api
		_, err = api.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(t.Context())
		return err
	})
}

// client is the administrator's, dialing from inside the host.
func (n *node) client() (kubernetes.Interface, error) {
	return n.configured(func(c *rest.Config) { c.QPS, c.Burst = 200, 400 })
}

// configured is a client that is not quite like that.
func (n *node) configured(change func(*rest.Config)) (kubernetes.Interface, error) {
	text, err := n.host.Read(kubeconfig)
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(text)
	if err != nil {
		return nil, err
	}
	config.Dial = n.host.Dial
	config.Timeout = 20 * time.Second
	change(config)
	return kubernetes.NewForConfig(config)
}

// eventually waits, and gives up early when the server has ended.
func (n *node) eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	testhost.Eventually(t, patience, what, func() error {
		err := check()
		if err != nil && n.proc != nil && !n.proc.Running() {
			t.Fatalf("skerry ended while waiting until %s (%v); it wrote\n%s", what, err, tail(n.proc.Output(), 30))
		}
		return err
	})
}

// stop ends the server politely and returns how long that took.
func (n *node) stop(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	if err := n.proc.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := n.proc.Wait(time.Minute); err != nil {
		t.Errorf("skerry server after SIGTERM: %v; it wrote\n%s", err, tail(n.proc.Output(), 30))
	}
	return time.Since(begin)
}

// skerry runs a skerry command in the host and wants it to end well.
func (n *node) skerry(t *testing.T, args ...string) string {
	t.Helper()
	out, err := n.try(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (n *node) try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return n.host.Run(ctx, append([]string{"skerry"}, args...)...)
}

func (n *node) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return n.skerry(t, append([]string{"kubectl"}, args...)...)
}

// apply applies a file of testdata with kubectl, as a user does.
func (n *node) apply(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	n.applyText(t, string(text))
}

func (n *node) applyText(t *testing.T, yaml string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := n.host.RunWith(ctx, strings.NewReader(yaml), "skerry", "kubectl", "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// fetch gets a URL from inside the host.
func (n *node) fetch(url string) (string, error) { return get(n.host.HTTP(), url) }

func get(client *http.Client, url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body := make([]byte, 4096)
	size, _ := resp.Body.Read(body)
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	return strings.TrimSpace(string(body[:size])), nil
}

// report is written beside the logs when a test fails.
func (n *node) report(h *testhost.Host) string {
	var text strings.Builder
	for _, args := range []string{"get nodes,pods,svc,events -A -o wide", "describe pods -A"} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		out, err := h.Run(ctx, append([]string{"skerry", "kubectl"}, strings.Fields(args)...)...)
		cancel()
		fmt.Fprintf(&text, "=== kubectl %s (%v)\n%s\n", args, err, out)
	}
	return text.String()
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
