package cluster_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	mounted      = "/var/run/secrets/kubernetes.io/serviceaccount/"
	hiddenCipher = "aGlkZGVu" // "hidden" as Secrets are written
)

// mount reads what a pod has of its ServiceAccount.
func (o *offline) mount(t *testing.T, file string) string {
	t.Helper()
	text, err := o.inside(t, "filled", "cat", mounted+file)
	if err != nil || text == "" {
		t.Fatalf("%s of the pod: %q, %v", file, text, err)
	}
	return text
}

// refused asks for secrets as a pod does, at the node's endpoint and by the Service.
func (o *offline) refused(t *testing.T) {
	pod := o.filled(t)
	for _, path := range []string{"/api/v1/namespaces/kube-system/secrets", "/api/v1/namespaces/default/secrets/secrets"} {
		said, err := o.far.host.Run(t.Context(), "skerry", "kubectl", "--server", "https://127.0.0.1:6444", "--insecure-skip-tls-verify", "--token", pod.token, "get", "--raw", path)
		if err == nil || strings.Contains(said, hiddenCipher) || !strings.Contains(err.Error(), "is forbidden") {
			t.Errorf("%s: it is told %q, %v", path, said, err)
		}
		if code, _, text, err := pod.ask(t, http.MethodGet, path); code != http.StatusForbidden || strings.Contains(text, hiddenCipher) {
			t.Errorf("%s: by the Service it is told %d %q, %v", path, code, text, err)
		}
	}
}

// asks wants a pod to be told what its role lets it read and the node knows; beyond that the code is another.
func (o *offline) asks(t *testing.T, beyond int) {
	pod := o.filled(t)
	for _, of := range []struct {
		method, path, has string
		code              int
	}{
		{http.MethodGet, "/api/v1/namespaces/default/services", `"guarded"`, http.StatusOK},
		{http.MethodGet, "/api/v1/namespaces/default/configmaps/words", "configured", http.StatusOK},
		{http.MethodGet, "/api/v1/namespaces/kube-system/services", "is forbidden", http.StatusForbidden},
		{http.MethodGet, "/api/v1/namespaces/default/configmaps/later", "", beyond}, // no pod has it
		{http.MethodPost, "/apis/authentication.k8s.io/v1/selfsubjectreviews", "", max(beyond, http.StatusCreated)},
	} {
		code, header, text, err := pod.ask(t, of.method, of.path)
		refused := code == http.StatusServiceUnavailable
		if code != of.code || !strings.Contains(text, of.has) || refused && (header.Get("Retry-After") == "" || !strings.Contains(text, "no API server has been in reach of this node since 2")) {
			t.Errorf("%s %s: %d %v\n%s, %v", of.method, of.path, code, header, text, err)
		}
	}
	pod.from = o.far.host.Dial
	if code, _, text, err := pod.ask(t, http.MethodGet, "/api/v1/namespaces/default/configmaps/words"); code != http.StatusOK {
		t.Errorf("from the host's network: %d %s, %v", code, text, err)
	}
}

// asker is a program in a pod: it has the token and the authority that the pod has.
type asker struct {
	token string
	trust *tls.Config
	from  func(ctx context.Context, network, address string) (net.Conn, error)
}

// filled is one in the pod of that name.
func (o *offline) filled(t *testing.T) asker {
	t.Helper()
	ip, err := o.inside(t, "filled", "hostname", "-i")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(o.mount(t, "ca.crt")))
	return asker{token: strings.TrimSpace(o.mount(t, "token")), trust: &tls.Config{RootCAs: roots, ServerName: "kubernetes.default.svc"}, from: o.far.host.Pod(strings.TrimSpace(ip)).Dial}
}

// ask asks the API by the Service.
func (a asker) ask(t *testing.T, method, path string) (int, http.Header, string, error) {
	t.Helper()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: a.from, TLSClientConfig: a.trust}}
	r, err := http.NewRequestWithContext(t.Context(), method, "https://10.43.0.1"+path, strings.NewReader(`{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, string(text), err
}

// trusts waits until a pod trusts the servers only, and is answered by one.
func (o *offline) trusts(t *testing.T) {
	o.kubectl(t, "annotate", "pod", "filled", "looked-after=now") // else the kubelet looks after its files once a minute
	o.eventually(t, "the pod trusts what the cluster says", func() error {
		said, err := o.api.CoreV1().ConfigMaps(inDefault).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if has := o.mount(t, "ca.crt"); has != said.Data["ca.crt"] {
			return fmt.Errorf("it has\n%s", has)
		}
		code, _, text, err := o.filled(t).ask(t, http.MethodGet, "/api/v1/namespaces/default/configmaps/later")
		if err == nil && code != http.StatusOK {
			err = errors.New(text)
		}
		return err
	})
	o.asks(t, http.StatusOK)
}
