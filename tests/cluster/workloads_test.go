package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/skerry-io/skerry/tests/testhost"
)

// TestWorkloads: what people run on Kubernetes runs here. The parts share one node and run beside each other.
func TestWorkloads(t *testing.T) {
	n := newNode(t, []string{busybox}, testhost.Program("crun", "testdata/crun"))
	n.serve()
	n.ready(t)
	t.Run("group", func(t *testing.T) {
		for name, part := range map[string]func(*testing.T, *node){
			"everything in one pod": everything,
			"probes":                probes,
			"memory limit":          memoryLimit,
			"deployment":            deployment,
			"controllers":           controllers,
			"services":              services,
			"static pod":            staticPod,
			"host port":             hostPort,
			"exec, cp and logs":     hands,
			"port-forward":          portForward,
			"attach":                attach,
			"ephemeral container":   ephemeral,
			"runtime class":         runtimeClass,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				part(t, n)
			})
		}
	})
}

func everything(t *testing.T, n *node) {
	n.host.Write("/var/lib/from-host/file", []byte("of the host"))
	n.apply(t, "everything.yaml")
	pod := n.podReady(t, "everything")
	for _, c := range []struct{ what, command, want string }{
		{"init container", "cat /shared/first", "from the init container"},
		{"sidecar, ready before main", "cat /shared/sidecar", "from the sidecar"},
		{"variable", "echo $PLAIN", "as written"},
		{"variable of a ConfigMap", "echo $COLOUR", "green"},
		{"variable of a Secret", "echo $PASSWORD", "s3cret"},
		{"downward name", "echo $POD_NAME", "everything"},
		{"downward pod address", "echo $POD_IP", pod.Status.PodIP},
		{"downward node address", "echo $HOST_IP", n.host.Address()},
		{"downward memory limit", "echo $MEMORY", "67108864"},
		{"downward volume", "grep app /about/labels; grep ^note /about/annotations", "app=\"everything\"\nnote=\"from above\""},
		{"ConfigMap volume", "cat /settings/app.conf", "mode = test"},
		{"one file of a volume", "cat /one.conf", "mode = test"},
		{"Secret volume", "cat /keys/password; stat -Lc %a:%g /keys/password", "s3cret440:2000"},
		{"projected volume", "cat /projected/colour /projected/password /projected/name; test -s /projected/token && echo +", "greens3creteverything+"},
		{"service account", "ls /var/run/secrets/kubernetes.io/serviceaccount", "ca.crt\nnamespace\ntoken"},
		{"hostPath volume", "cat /host/file", "of the host"},
		{"memory volume", "grep -c '^tmpfs /ram tmpfs' /proc/mounts", "1"},
		{"volume group", "stat -c %g /ram; touch /ram/x && echo writable", "2000\nwritable"},
		{"user", "id -u; id -g", "1000\n1000"},
		{"read-only root", "touch /x 2>/dev/null || echo refused", "refused"},
		{"no capabilities", "grep CapEff /proc/self/status | cut -f2", "0000000000000000"},
		{"no new privileges", "grep NoNewPrivs /proc/self/status | cut -f2", "1"},
		{"seccomp", "grep ^Seccomp: /proc/self/status | cut -f2", "2"},
		{"memory limit", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null", "67108864"},
		{"resolv.conf", "grep nameserver /etc/resolv.conf", "nameserver 10.43.0.10"},
	} {
		t.Run(c.what, func(t *testing.T) {
			if out := n.exec(t, "everything", "sh", "-c", c.command+"; true"); out != c.want {
				t.Errorf("%s: %q, want %q", c.command, out, c.want)
			}
		})
	}
	t.Run("a changed ConfigMap arrives", func(t *testing.T) {
		n.kubectl(t, "patch", "configmap", "settings", "-p", `{"data":{"colour":"blue"}}`)
		n.kubectl(t, "annotate", "pod", "everything", "poke=kubelet") // which looks again at once, not within its minute
		n.eventually(t, "the volume shows it", func() error {
			if out := n.exec(t, "everything", "cat", "/settings/colour"); out != "blue" {
				return fmt.Errorf("it says %q", out)
			}
			return nil
		})
	})
}

func probes(t *testing.T, n *node) {
	pod := sleeper("sick")
	pod.Spec.Containers[0].LivenessProbe = &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"false"}}}, PeriodSeconds: 1, FailureThreshold: 1,
	}
	n.create(t, pod)
	shy := sleeper("shy")
	shy.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(9)}},
		PeriodSeconds: 1,
	}
	n.create(t, shy)
	n.podUntil(t, "sick", "is restarted by its liveness probe", func(p *corev1.Pod) error {
		if len(p.Status.ContainerStatuses) == 0 || p.Status.ContainerStatuses[0].RestartCount == 0 {
			return fmt.Errorf("no restart")
		}
		return nil
	})
	n.podUntil(t, "shy", "runs and is not ready", func(p *corev1.Pod) error {
		if p.Status.Phase != corev1.PodRunning || isReady(p) {
			return fmt.Errorf("ready: %v", isReady(p))
		}
		return nil
	})
}

func memoryLimit(t *testing.T, n *node) {
	n.applyText(t, `
apiVersion: v1
kind: Pod
metadata: {name: hungry}
spec:
  restartPolicy: Never
  containers:
    - name: main
      image: localhost/test/busybox:1
      command: ["sh", "-c", "tail /dev/zero"]
      resources: {limits: {memory: 32Mi}}
`)
	n.podUntil(t, "hungry", "is ended by the memory limit", func(p *corev1.Pod) error {
		for _, c := range p.Status.ContainerStatuses {
			if s := c.State.Terminated; s != nil && s.ExitCode != 0 {
				return nil
			}
		}
		return fmt.Errorf("it is not")
	})
}

func deployment(t *testing.T, n *node) {
	n.apply(t, "demo.yaml")
	n.podsReady(t, "demo", 2)
	url := "http://" + n.clusterIP(t, "demo") + "/version"
	says := func(version string) {
		t.Helper()
		n.kubectl(t, "rollout", "status", "deployment/demo", "--timeout=2m")
		n.podsReady(t, "demo", 2)
		n.eventually(t, "the demo says "+version, func() error {
			if out, err := n.fetch(url); err != nil || !strings.Contains(out, version) {
				return fmt.Errorf("%q, %w", out, err)
			}
			return nil
		})
	}
	says("one")
	n.kubectl(t, "set", "env", "deployment/demo", "DEMO_VERSION=two")
	says("two")
	n.kubectl(t, "rollout", "undo", "deployment/demo")
	says("one")
	n.kubectl(t, "scale", "deployment/demo", "--replicas=3")
	n.podsReady(t, "demo", 3)
}

func controllers(t *testing.T, n *node) {
	n.apply(t, "controllers.yaml")
	t.Run("StatefulSet: names in order", func(t *testing.T) {
		n.podReady(t, "ordered-1")
		if out := n.exec(t, "ordered-0", "hostname"); out != "ordered-0" {
			t.Errorf("hostname %q", out)
		}
	})
	t.Run("headless Service: the pods' own addresses", func(t *testing.T) {
		want := []string{n.podReady(t, "ordered-0").Status.PodIP, n.podReady(t, "ordered-1").Status.PodIP}
		slices.Sort(want)
		n.eventually(t, "the endpoints are the pods", func() error {
			if got := n.endpoints(t, "ordered"); !slices.Equal(got, want) {
				return fmt.Errorf("%q, want %q", got, want)
			}
			return nil
		})
	})
	t.Run("DaemonSet: one on the node", func(t *testing.T) { n.podsReady(t, "everywhere", 1) })
	t.Run("Job: completes", func(t *testing.T) {
		n.kubectl(t, "wait", "--for=condition=complete", "job/sum", "--timeout=2m")
		if out := n.kubectl(t, "logs", "job/sum"); out != "the sum is 42\n" {
			t.Errorf("logs: %q", out)
		}
	})
	t.Run("CronJob: runs within its minute", func(t *testing.T) {
		n.eventually(t, "a pod of the CronJob has succeeded", func() error {
			pods, err := n.api.CoreV1().Pods(inDefault).List(t.Context(), metav1.ListOptions{LabelSelector: "app=minutely"})
			if err != nil {
				return err
			}
			for i := range pods.Items {
				if pods.Items[i].Status.Phase == corev1.PodSucceeded {
					return nil
				}
			}
			return fmt.Errorf("%d pods, none succeeded", len(pods.Items))
		})
	})
}

// endpoints lists the ready addresses behind a Service, sorted.
func (n *node) endpoints(t *testing.T, service string) []string {
	t.Helper()
	found, err := n.api.DiscoveryV1().EndpointSlices(inDefault).List(t.Context(), metav1.ListOptions{LabelSelector: discovery.LabelServiceName + "=" + service})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range found.Items {
		for _, e := range s.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				all = append(all, e.Addresses...)
			}
		}
	}
	slices.Sort(all)
	return all
}

func services(t *testing.T, n *node) {
	n.apply(t, "services.yaml")
	n.create(t, sleeper("asker"))
	pods := n.podsReady(t, "web", 2)
	n.podReady(t, "asker")
	ip := n.clusterIP(t, "web")
	node := n.host.Address()
	ask := func(from, host, port string) func() (string, error) {
		return func() (string, error) { return n.ask(t, from, host, port) }
	}
	direct := func(url string) func() (string, error) { return func() (string, error) { return n.fetch(url) } }
	for what, get := range map[string]func() (string, error){
		"pod to pod":                    ask("asker", pods[0].Status.PodIP, "8080"),
		"node to pod":                   direct("http://" + pods[0].Status.PodIP + ":8080/index.html"),
		"pod to ClusterIP":              ask("asker", ip, "80"),
		"node to ClusterIP":             direct("http://" + ip + "/index.html"),
		"pod to NodePort":               ask("asker", node, "30081"),
		"node to NodePort":              direct("http://" + node + ":30081/index.html"),
		"another machine to NodePort":   func() (string, error) { return get(n.lab.HTTP(), "http://"+node+":30081/index.html") },
		"a pod to itself, by a Service": ask(pods[0].Name, ip, "80"),
	} {
		t.Run(what, func(t *testing.T) {
			n.eventually(t, "it answers", func() error {
				out, err := get()
				if err == nil && strings.TrimSpace(out) != "web-1" {
					err = fmt.Errorf("it says %q", out)
				}
				return err
			})
		})
	}
	t.Run("pod to API server", func(t *testing.T) {
		out, err := n.try(t, "kubectl", "exec", "asker", "--", "sh", "-c", "nc -w 5 10.43.0.1 443 </dev/null && echo open")
		if err != nil || strings.TrimSpace(out) != "open" {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("ExternalName", func(t *testing.T) {
		s, err := n.api.CoreV1().Services(inDefault).Get(t.Context(), "web-name", metav1.GetOptions{})
		if err != nil || s.Spec.ExternalName != "web.example.com" || s.Spec.ClusterIP != "" {
			t.Errorf("%v, %v", s, err)
		}
	})
}

// ask gets /index.html from inside a pod and returns the last line of the answer.
func (n *node) ask(t *testing.T, pod, host, port string) (string, error) {
	t.Helper()
	request := "printf 'GET /index.html HTTP/1.0\r\n\r\n' | nc -w 5 " + host + " " + port + " | tail -n 1"
	return n.try(t, "kubectl", "exec", pod, "--", "sh", "-c", request)
}
