package cluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const inDefault = metav1.NamespaceDefault

// sleeper is a pod that only lives.
func sleeper(name string) *corev1.Pod {
	grace := int64(1)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{
				Name: "main", Image: busybox, Command: []string{"sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait"},
			}},
		},
	}
}

// create makes a pod through the API.
func (n *node) create(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if _, err := n.api.CoreV1().Pods(inDefault).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (n *node) pod(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	pod, err := n.api.CoreV1().Pods(inDefault).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// podReady waits until the pod and all its containers are ready.
func (n *node) podReady(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	return n.podUntil(t, name, "is ready", func(p *corev1.Pod) error {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return errors.New("it is not")
	})
}

// podUntil waits until check is content with the pod.
func (n *node) podUntil(t *testing.T, name, what string, check func(*corev1.Pod) error) *corev1.Pod {
	t.Helper()
	var last *corev1.Pod
	n.eventually(t, fmt.Sprintf("pod %s %s", name, what), func() error {
		pod, err := n.api.CoreV1().Pods(inDefault).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		last = pod
		if err := check(pod); err != nil {
			return fmt.Errorf("%w; %s, events: %s", err, brief(pod), n.events(t, name))
		}
		return nil
	})
	return last
}

// podsReady waits until exactly so many pods have the label app=NAME and all are ready, and returns them.
func (n *node) podsReady(t *testing.T, app string, count int) []corev1.Pod {
	t.Helper()
	var ready []corev1.Pod
	n.eventually(t, fmt.Sprintf("%d pods of %s are ready", count, app), func() error {
		pods, err := n.api.CoreV1().Pods(inDefault).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + app})
		if err != nil {
			return err
		}
		ready = nil
		var others []string
		for i := range pods.Items {
			if p := &pods.Items[i]; isReady(p) && p.DeletionTimestamp == nil {
				ready = append(ready, *p)
			} else {
				others = append(others, brief(p))
			}
		}
		if len(ready) != count || len(others) > 0 {
			return fmt.Errorf("%d are, others: %q", len(ready), others)
		}
		return nil
	})
	return ready
}

func isReady(p *corev1.Pod) bool { return !readySince(p).IsZero() }

// readySince is when a pod became ready, zero while it is not.
func readySince(p *corev1.Pod) time.Time {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

// events lists what happened to an object, one "type reason message" after another.
func (n *node) events(t *testing.T, name string) string {
	t.Helper()
	events, err := n.api.CoreV1().Events(inDefault).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + name})
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, e := range events.Items {
		all = append(all, fmt.Sprintf("%s %s %s", e.Type, e.Reason, e.Message))
	}
	return strings.Join(all, "; ")
}

// warnings lists the warnings about all pods.
func (n *node) warnings(t *testing.T) []string {
	t.Helper()
	events, err := n.api.CoreV1().Events("").List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.kind=Pod,type=Warning"})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range events.Items {
		all = append(all, fmt.Sprintf("%s/%s: %s %s", e.InvolvedObject.Namespace, e.InvolvedObject.Name, e.Reason, e.Message))
	}
	return all
}

// identity is what stays when a pod is adopted and changes when one of its containers is started again.
func identity(p *corev1.Pod) string {
	text := fmt.Sprintf("%s %s", p.UID, p.Status.PodIP)
	for _, c := range p.Status.ContainerStatuses {
		text += fmt.Sprintf(" %s %s restarts=%d", c.Name, c.ContainerID, c.RestartCount)
	}
	return text
}

func brief(p *corev1.Pod) string {
	text := fmt.Sprintf("pod %s is %s", p.Name, p.Status.Phase)
	if p.DeletionTimestamp != nil {
		text += " (being deleted)"
	}
	for _, c := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
		switch {
		case c.State.Waiting != nil:
			text += fmt.Sprintf(", %s waits: %s %s", c.Name, c.State.Waiting.Reason, c.State.Waiting.Message)
		case c.State.Terminated != nil:
			text += fmt.Sprintf(", %s ended: %s %d", c.Name, c.State.Terminated.Reason, c.State.Terminated.ExitCode)
		}
	}
	return text
}

// exec runs a command in the pod's first container.
func (n *node) exec(t *testing.T, pod string, command ...string) string {
	t.Helper()
	var out string
	var failed error
	n.eventually(t, "the kubelet, which may just have been started again, knows the pod "+pod, func() error {
		out, failed = n.try(t, append([]string{"kubectl", "exec", pod, "--"}, command...)...)
		if failed != nil && strings.Contains(failed.Error(), "pod does not exist") {
			return failed
		}
		return nil
	})
	if failed != nil {
		t.Fatal(failed)
	}
	return strings.TrimSpace(out)
}

// sleeperOf is a sleeper that runs another image.
func sleeperOf(name, image string) *corev1.Pod {
	pod := sleeper(name)
	pod.Spec.Containers[0].Image = image
	return pod
}
