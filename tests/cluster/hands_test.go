package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hands: what an operator does to a running pod by hand.
func hands(t *testing.T, n *node) {
	pod := sleeper("talker")
	pod.Spec.Containers[0].Command = []string{"sh", "-c", "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done"}
	n.create(t, pod)
	n.podReady(t, "talker")

	t.Run("exec tells the exit code", func(t *testing.T) {
		_, err := n.try(t, "kubectl", "exec", "talker", "--", "sh", "-c", "exit 7")
		if err == nil || !strings.Contains(err.Error(), "exit code 7") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("exec passes input on", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, err := n.host.RunWith(ctx, strings.NewReader("abc"), "skerry", "kubectl", "exec", "-i", "talker", "--", "tr", "a-c", "A-C")
		if err != nil || out != "ABC" {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("cp there and back", func(t *testing.T) {
		data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
		n.host.Write("/tmp/there", data)
		n.kubectl(t, "cp", "/tmp/there", "talker:/tmp/there")
		n.kubectl(t, "cp", "talker:/tmp/there", "/tmp/back")
		if back, err := n.host.Read("/tmp/back"); err != nil || !bytes.Equal(back, data) {
			t.Errorf("%d of %d bytes came back, %v", len(back), len(data), err)
		}
	})
	t.Run("logs -f follows", func(t *testing.T) {
		follow := n.host.Start("skerry", "kubectl", "logs", "-f", "--tail=1", "talker")
		defer follow.Kill()
		n.eventually(t, "ten lines have come", func() error {
			if got := strings.Count(follow.Output(), "line "); got < 10 {
				return fmt.Errorf("%d have", got)
			}
			return nil
		})
	})
	t.Run("logs are files on the node too", func(t *testing.T) {
		found, _ := filepath.Glob(n.host.Path("/var/log/pods/default_talker_*/main/0.log"))
		if len(found) != 1 {
			t.Errorf("found %q", found)
		}
	})
}

func attach(t *testing.T, n *node) {
	pod := sleeper("listener")
	pod.Spec.Containers[0].Command = []string{"sh", "-c", "while read line; do echo heard $line; done"}
	pod.Spec.Containers[0].Stdin, pod.Spec.Containers[0].StdinOnce = true, true
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	n.create(t, pod)
	n.podReady(t, "listener")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := n.host.RunWith(ctx, strings.NewReader("one\ntwo\n"), "skerry", "kubectl", "attach", "-i", "listener"); err != nil {
		t.Error(err)
	}
	n.eventually(t, "the container heard both lines", func() error {
		if out := n.kubectl(t, "logs", "listener"); out != "heard one\nheard two\n" {
			return fmt.Errorf("it says %q", out)
		}
		return nil
	})
}

func portForward(t *testing.T, n *node) {
	pod := sleeper("forwarded")
	pod.Spec.Containers[0].Command = []string{"sh", "-c", "echo through > /tmp/index.html; exec httpd -f -p 127.0.0.1:8080 -h /tmp"}
	n.create(t, pod)
	n.podReady(t, "forwarded")
	forward := n.host.Start("skerry", "kubectl", "port-forward", "pod/forwarded", "18081:8080")
	defer forward.Kill()
	n.eventually(t, "the forwarded port answers", func() error {
		out, err := n.fetch("http://127.0.0.1:18081/index.html")
		if err == nil && out != "through" {
			err = fmt.Errorf("it says %q", out)
		}
		return err
	})
}

func ephemeral(t *testing.T, n *node) {
	n.create(t, sleeper("patient"))
	n.podReady(t, "patient")
	n.kubectl(t, "debug", "patient", "--image="+busybox, "--container=doctor", "--target=main", "--profile=general", "--", "sh", "-c", "ps; echo examined")
	n.eventually(t, "the doctor has seen the main container", func() error {
		out, err := n.try(t, "kubectl", "logs", "patient", "-c", "doctor")
		if err == nil && (!strings.Contains(out, "examined") || !strings.Contains(out, "sleep 1000000")) {
			err = fmt.Errorf("it says %q", out)
		}
		return err
	})
}

func hostPort(t *testing.T, n *node) {
	pod := sleeper("ported")
	pod.Spec.Containers[0].Command = []string{"sh", "-c", "echo by host port > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"}
	pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 18082}}
	n.create(t, pod)
	n.podReady(t, "ported")
	n.eventually(t, "the host port answers another machine", func() error {
		out, err := get(n.lab.HTTP(), "http://"+n.host.Address()+":18082/index.html")
		if err == nil && out != "by host port" {
			err = fmt.Errorf("it says %q", out)
		}
		return err
	})
	n.kubectl(t, "delete", "pod", "ported")
	n.eventually(t, "the host port is closed", func() error {
		if out, err := get(n.lab.HTTP(), "http://"+n.host.Address()+":18082/index.html"); err == nil {
			return fmt.Errorf("it still says %q", out)
		}
		return nil
	})
}

func staticPod(t *testing.T, n *node) {
	const folder = "/var/lib/skerry/agent/pod-manifests/"
	text, err := os.ReadFile("testdata/static.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n.host.Write(folder+"static.yaml", text)
	nodes, err := n.api.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) != 1 {
		t.Fatal(len(nodes.Items), err)
	}
	mirror := "static-" + nodes.Items[0].Name
	n.podReady(t, mirror)
	if err := os.Remove(n.host.Path(folder + "static.yaml")); err != nil {
		t.Fatal(err)
	}
	n.eventually(t, "the static pod is gone with its file", func() error {
		_, err := n.api.CoreV1().Pods(inDefault).Get(t.Context(), mirror, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(errors.New("it is still there"), err)
	})
}

// runtimeClass: a runtime that the host has becomes a RuntimeClass. The host's crun here is a script that notes the call
// and passes it on to runc.
func runtimeClass(t *testing.T, n *node) {
	n.eventually(t, "there is a RuntimeClass crun", func() error {
		_, err := n.api.NodeV1().RuntimeClasses().Get(t.Context(), "crun", metav1.GetOptions{})
		return err
	})
	pod := sleeper("other-runtime")
	class := "crun"
	pod.Spec.RuntimeClassName = &class
	n.create(t, pod)
	n.podReady(t, "other-runtime")
	if calls, err := n.host.Read("/var/log/crun.calls"); err != nil || !strings.Contains(string(calls), "create") {
		t.Errorf("crun was called with %q, %v", calls, err)
	}
	begin := time.Now()
	n.kubectl(t, "delete", "pod", "other-runtime")
	t.Logf("deleted after %v", time.Since(begin).Round(10*time.Millisecond))
}
