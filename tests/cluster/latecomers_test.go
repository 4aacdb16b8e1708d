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

// cutOff: connections on the same node and across end when a policy appears that does not allow them, and not before.
func cutOff(t *testing.T, w *walls) {
	to := w.ends[0]
	var clients []end
	for _, e := range w.ends {
		if e.namespace == "blue" {
			clients = append(clients, e)
		}
	}
	count := func(e end) int {
		out, err := w.in(t, e, "wc -l < /tmp/echo")
		if err != nil {
			t.Fatal(err)
		}
		var n int
		_, _ = fmt.Sscan(out, &n)
		return n
	}
	grows := func(e end, want bool) {
		t.Helper()
		w.eventually(t, fmt.Sprintf("the connection of %s goes on: %t", e.name(), want), func() error {
			before := count(e)
			time.Sleep(time.Second)
			if now := count(e); (now > before) != want {
				return fmt.Errorf("%d lines, then %d", before, now)
			}
			return nil
		})
	}
	for _, e := range clients {
		if _, err := w.in(t, e, fmt.Sprintf("(while :; do echo x; sleep 0.1; done | nc %s 7000 > /tmp/echo 2>/dev/null) >/dev/null 2>&1 </dev/null &", to.ip)); err != nil {
			t.Fatal(err)
		}
		grows(e, true)
	}
	deny := `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: cut, namespace: ` + to.namespace + `}, spec: {podSelector: {}, ingress: [%s]}}`
	w.applyText(t, fmt.Sprintf(deny, "{from: [{namespaceSelector: {matchLabels: {color: blue}}}]}"))
	w.ruled(t, true)
	for _, e := range clients {
		grows(e, true)
	}
	w.applyText(t, fmt.Sprintf(deny, "{from: [{namespaceSelector: {matchLabels: {color: green}}}]}"))
	for _, e := range clients {
		grows(e, false)
	}
	w.kubectl(t, "delete", "networkpolicy", "-A", "--all")
}

// lateComers: pods that may not go out try from their first instant on, while others come and go; not one gets through. Those
// that may do so at once.
func lateComers(t *testing.T, w *walls) {
	const pods = 12
	w.applyText(t, `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: late, namespace: red}, spec: {podSelector: {matchLabels: {may: "no"}}, policyTypes: [Egress]}}`)
	w.applyText(t, `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: some, namespace: red}, spec: {podSelector: {matchLabels: {may: "yes"}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}]}]}}`)
	var targets []string
	for _, e := range w.ends {
		if e.namespace != "red" {
			targets = append(targets, e.ip)
		}
	}
	for i := range pods {
		for _, may := range []string{"no", "yes"} {
			pod := sleeper(fmt.Sprintf("late-%s-%d", may, i))
			pod.Labels = map[string]string{"may": may}
			pod.Spec.NodeName = w.names()[i%2]
			pod.Spec.RestartPolicy = corev1.RestartPolicyNever
			pod.Spec.Containers[0].Command = []string{"sh", "-c", `i=0
while [ $i -lt 30 ]; do
  for ip in ` + strings.Join(targets, " ") + `; do (` + hello("$ip", "8080", 1) + ` && echo $i $ip >> /tmp/open) 2>/dev/null & done
  usleep 30000; i=$((i+1))
done
wait
head -n 1 /tmp/open > /dev/termination-log; test ! -e /tmp/open`}
			if _, err := w.api.CoreV1().Pods("red").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.eventually(t, "all have tried", func() error {
		list, err := w.api.CoreV1().Pods("red").List(t.Context(), metav1.ListOptions{LabelSelector: "may"})
		if err != nil {
			return err
		}
		var errs []error
		for i := range list.Items {
			if p := &list.Items[i]; p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
				errs = append(errs, errors.New(brief(p)))
			}
		}
		return errors.Join(errs...)
	})
	list, err := w.api.CoreV1().Pods("red").List(t.Context(), metav1.ListOptions{LabelSelector: "may"})
	if err != nil {
		t.Fatal(err)
	}
	first := 0
	for i := range list.Items {
		p := &list.Items[i]
		message := p.Status.ContainerStatuses[0].State.Terminated.Message
		switch {
		case p.Labels["may"] == "no" && p.Status.Phase != corev1.PodSucceeded:
			t.Errorf("pod %s got through: %q", p.Name, message)
		case p.Labels["may"] == "yes" && p.Status.Phase != corev1.PodFailed:
			t.Errorf("pod %s did not get through", p.Name)
		case strings.HasPrefix(message, "0 "):
			first++
		}
	}
	t.Logf("%d of %d pods that may got through at their first try", first, pods)
	w.kubectl(t, "delete", "pod", "-n", "red", "-l", "may", "--now")
	w.kubectl(t, "delete", "networkpolicy", "-A", "--all")
}

// eachFamilyHasItsPolicy: a block of one family says nothing about the other.
func eachFamilyHasItsPolicy(t *testing.T, c *cluster) {
	to := c.pod(t, "web-agent").Status.PodIPs
	for i, block := range []string{"10.42.0.0/16", "fd42::/56"} {
		c.applyText(t, fmt.Sprintf(`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: one}, spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "%s"}}]}]}}`, block))
		for n, ip := range to {
			c.eventually(t, fmt.Sprintf("with %s, %s is open: %t", block, ip.IP, i == n), func() error {
				out, err := c.try(t, "kubectl", "exec", "web-server", "--", "sh", "-c", "if "+strings.ReplaceAll(hello(ip.IP, "8080", 2), "hello", "web-agent")+"; then echo open; fi")
				if open := strings.TrimSpace(out) == "open"; err == nil && open != (i == n) {
					err = fmt.Errorf("open is %t", open)
				}
				return err
			})
		}
	}
	c.kubectl(t, "delete", "networkpolicy", "one")
}
