package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/tests/testhost"
)

// farPod is what the API server calls of a node behind a router that lets nobody in.
type farPod struct{ kubelet, pod, onHost bool }

// TestEgressModes: in each mode the API server reaches through the tunnel what the mode says, and nothing else. It is
// the pods' part that differs: webhooks, extension APIs and the proxy subresources call them, by themselves or behind a
// Service.
func TestEgressModes(t *testing.T) {
	c := newCluster(t, "egress-selector-mode: pod\n", []string{busybox})
	far := c.newAgent(t, "far", nil, testhost.BehindNAT())
	far.host.CloseInbound()
	c.start(t)
	c.create(t, webOn("far", "web-far", "web"))
	onHost := webOn("far", "host-far", "host")
	onHost.Spec.HostNetwork = true
	onHost.Spec.Containers[0].Command[2] = strings.Replace(onHost.Spec.Containers[0].Command[2], "8080", "8081", 1)
	c.create(t, onHost)
	c.podReady(t, "web-far")
	c.podReady(t, "host-far")
	c.service(t, "web", "web", 0)
	c.applyText(t, extension)

	for i, mode := range []struct {
		name string
		want farPod
	}{
		{"pod", farPod{kubelet: true, pod: true}},
		{"cluster", farPod{kubelet: true, pod: true, onHost: true}},
		{"agent", farPod{kubelet: true}},
		{"disabled", farPod{}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			if i > 0 {
				c.switchTo(t, far, "egress-selector-mode: "+mode.name+"\n")
			}
			c.reached(t, mode.want)
		})
	}
}

// extension has the API server call the Service for ConfigMaps of one name, and for an API. The pod behind it does not
// speak TLS, and that is what the API server says when it has reached it.
const extension = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: far}
webhooks:
- name: far.skerry.test
  clientConfig: {service: {namespace: default, name: web, port: 80}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  matchConditions: [{name: one, expression: "object.metadata.name == 'asked'"}]
  admissionReviewVersions: [v1]
  sideEffects: None
  timeoutSeconds: 5
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.far.skerry.test}
spec:
  group: far.skerry.test
  version: v1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {namespace: default, name: web, port: 80}
`

// reached: exactly what is wanted answers. What does not takes seconds to say so, and all are asked at once.
func (c *cluster) reached(t *testing.T, want farPod) {
	const proxy = "/api/v1/namespaces/default/"
	raw := func(path, answer string) func(*testing.T) error {
		return func(t *testing.T) error {
			out, err := c.try(t, "kubectl", "get", "--request-timeout=6s", "--raw", path)
			if strings.TrimSpace(out) != answer {
				return fmt.Errorf("%q, %w", out, err)
			}
			return nil
		}
	}
	for _, part := range []struct {
		name string
		want bool
		call func(*testing.T) error
	}{
		{"kubelet", want.kubelet, raw("/api/v1/nodes/far/proxy/healthz", "ok")},
		{"exec", want.kubelet, func(t *testing.T) error {
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			_, err := c.host.Run(ctx, "skerry", "kubectl", "exec", "web-far", "--", "true")
			return err
		}},
		{"a pod", want.pod, raw(proxy+"pods/web-far:8080/proxy/index.html", "web-far")},
		{"a Service", want.pod, raw(proxy+"services/web:80/proxy/index.html", "web-far")},
		{"a pod on the host's network", want.onHost, raw(proxy+"pods/host-far:8081/proxy/index.html", "host-far")},
		{"a webhook", want.pod, func(t *testing.T) error {
			_, err := c.try(t, "kubectl", "create", "configmap", "asked")
			return notTLS(fmt.Sprint(err))
		}},
		{"an extension API", want.pod, c.extended},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			if part.want {
				c.eventually(t, part.name+" is reached", func() error { return part.call(t) })
				return
			}
			if err := part.call(t); err == nil {
				t.Error("it is reached, although this mode does not cover it and no other way leads there")
			}
		})
	}
}

// extended asks for the extension API anew: what the API server has found out before a switch is forgotten with the object.
func (c *cluster) extended(t *testing.T) error {
	c.kubectl(t, "delete", "apiservice", "v1.far.skerry.test")
	c.applyText(t, extension)
	var said string
	c.eventually(t, "the API server has asked for it", func() (err error) {
		said, err = c.try(t, "kubectl", "get", "apiservice", "v1.far.skerry.test", "-o", "jsonpath={.status.conditions[0].message}")
		if err == nil && said == "" {
			err = errors.New("nothing is said")
		}
		return err
	})
	return notTLS(said)
}

// notTLS is nil when the text says that something was called that speaks no TLS.
func notTLS(text string) error {
	if strings.Contains(text, "HTTP response to HTTPS client") || strings.Contains(text, "does not look like a TLS handshake") {
		return nil
	}
	return errors.New(text)
}
