package cluster

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	discovery "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/tests/certtest"
)

// kubeconfig writes one that leads to server and trusts ca.
func kubeconfig(t *testing.T, server string, ca []byte) string {
	t.Helper()
	config := api.NewConfig()
	config.Clusters["c"] = &api.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos["u"] = &api.AuthInfo{Token: "x"}
	config.Contexts["x"] = &api.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func connect(t *testing.T, path string) *Connection {
	t.Helper()
	c, err := Connect(command.Env{}, command.Access{Kubeconfig: path})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func serverOf(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestConnectUsesTheNamedKubeconfig(t *testing.T) {
	var asked string
	s := serverOf(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		http.Error(w, "{}", http.StatusNotFound)
	})
	ca := certs.EncodeCert(s.Certificate())
	path := kubeconfig(t, s.URL, ca)
	for name, env := range map[string]command.Env{
		"flag":     {},
		"variable": {Environ: []string{"KUBECONFIG=" + path}},
	} {
		access := command.Access{}
		if name == "flag" {
			access.Kubeconfig = path
		}
		c, err := Connect(env, access)
		if err != nil {
			t.Fatal(err)
		}
		asked = ""
		_, _ = c.CoreV1().Nodes().List(t.Context(), meta.ListOptions{})
		if asked != "/api/v1/nodes" {
			t.Errorf("%s: the server was asked for %q", name, asked)
		}
		if got, err := c.CA(); err != nil || !got.Equal(s.Certificate()) {
			t.Errorf("%s: the CA is %v, %v", name, got, err)
		}
	}
}

func TestConnectWithBadKubeconfigs(t *testing.T) {
	dir := t.TempDir()
	damaged := filepath.Join(dir, "damaged")
	if err := os.WriteFile(damaged, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{filepath.Join(dir, "none"): "not exist", damaged: "damaged", empty: "empty"} {
		_, err := Connect(command.Env{}, command.Access{Kubeconfig: path})
		var told *fault.Fault
		if !errors.As(err, &told) || told.Cure() == "" || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "localhost:8080") {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	if _, err := connect(t, kubeconfig(t, "https://127.0.0.1:1", nil)).CA(); err == nil || !strings.Contains(err.Error(), "no certificate authority") {
		t.Errorf("without a CA: %v", err)
	}
}

func TestExplain(t *testing.T) {
	stranger := serverOf(t, func(http.ResponseWriter, *http.Request) {})
	ca := certs.EncodeCert(certtest.CA(t, "ca").Certificate)
	_, untrusted := connect(t, kubeconfig(t, stranger.URL, ca)).CoreV1().Nodes().List(t.Context(), meta.ListOptions{})
	_, refused := connect(t, kubeconfig(t, "https://127.0.0.1:1", ca)).CoreV1().Nodes().List(t.Context(), meta.ListOptions{})
	late, stop := context.WithTimeout(t.Context(), 0)
	defer stop()
	_, timeout := connect(t, kubeconfig(t, stranger.URL, ca)).CoreV1().Nodes().List(late, meta.ListOptions{})
	nodes := schema.GroupResource{Resource: "nodes"}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"not running":  {refused, "start the server"},
		"another CA":   {untrusted, "fresh copy"},
		"too late":     {timeout, "can be reached"},
		"unknown user": {apierrors.NewUnauthorized("no"), "administrator"},
		"may not":      {apierrors.NewForbidden(nodes, "", errors.New("no")), "administrator"},
		"starting":     {apierrors.NewServiceUnavailable("wait"), "starting"},
		"anything":     {errors.New("odd"), "list the nodes: odd"},
		"a fault":      {fault.New("x").Fix("y"), "y"},
	} {
		if err := Explain(c.err, "list the %s", "nodes"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Explain(nil, "x"); err != nil {
		t.Errorf("nothing wrong: %v", err)
	}
}

func TestServers(t *testing.T) {
	port := int32(6443)
	client := fake.NewSimpleClientset(&discovery.EndpointSlice{
		ObjectMeta: meta.ObjectMeta{Namespace: "default", Name: "kubernetes", Labels: map[string]string{discovery.LabelServiceName: "kubernetes"}},
		Endpoints:  []discovery.Endpoint{{Addresses: []string{"10.0.0.1"}}, {Addresses: []string{"2001:db8::1"}}},
		Ports:      []discovery.EndpointPort{{Port: &port}},
	})
	got, err := Servers(t.Context(), client)
	if err != nil || strings.Join(got, " ") != "10.0.0.1:6443 [2001:db8::1]:6443" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	if err := Table(&out, []string{"A", "B"}, []string{"", "x\ty\nz"}); err != nil || out.String() != "A  B\n-  x y z\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 6112: "6.1 kB", 99_400: "99.4 kB", 99_600: "100 kB", 999_600: "1.0 MB", 41_300_000: "41.3 MB",
		190_000_000: "190 MB", 3_200_000_000: "3.2 GB", 1 << 60: "1152922 TB"} {
		if got := Size(bytes); got != want {
			t.Errorf("%d: %s, want %s", bytes, got, want)
		}
	}
}
