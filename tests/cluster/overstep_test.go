package cluster_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/tests/testhost"
)

// nodeOversteps: with the files of one node nobody gets at what belongs to others, and without any at nothing.
func nodeOversteps(t *testing.T, c *cluster, of *agent) {
	c.kubectl(t, "create", "secret", "generic", "others", "--from-literal=a=b")
	cert, key := keyPair(t, of)
	node := caller(of.host, tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key})
	nobody := caller(of.host)
	join := func(name string) string {
		text, _ := json.Marshal(map[string]any{"name": name, "addresses": []string{of.host.Address()}, "publicKey": cert.RawSubjectPublicKeyInfo})
		return string(text)
	}
	const patch = `{"metadata":{"labels":{"overstepped":"yes"}}}`
	for _, r := range []struct {
		what         string
		as           *http.Client
		method, path string
		body         string
		want         []int
	}{
		{"its own Node", node, "GET", "/api/v1/nodes/" + of.name, "", []int{200}},
		{"certificates for its own name", node, "POST", "/v1-skerry/certificates", join(of.name), []int{200}},
		{"certificates for another node", node, "POST", "/v1-skerry/certificates", join("server"), []int{403}},
		{"certificates for a new name", node, "POST", "/v1-skerry/certificates", join("other"), []int{403}},
		{"joining without a token", node, "POST", "/v1-skerry/join", join(of.name), []int{401}},
		{"another's Secret", node, "GET", "/api/v1/namespaces/default/secrets/others", "", []int{403}},
		{"all Secrets", node, "GET", "/api/v1/secrets", "", []int{403}},
		{"the keys of nodes", node, "GET", "/api/v1/namespaces/kube-system/secrets/node-key." + of.name, "", []int{403}},
		{"another's Node", node, "PATCH", "/api/v1/nodes/server", patch, []int{403}},
		{"a namespace", node, "DELETE", "/api/v1/namespaces/kube-system", "", []int{403}},
		{"the server's token", node, "PUT", "/v1-skerry/token", `{"secret":"mine"}`, []int{403}},
		{"another's kubelet", node, "GET", "/api/v1/nodes/server/proxy/pods", "", []int{403}},
		{"nobody: a ping", nobody, "GET", "/v1-skerry/ping", "", []int{200}},
		{"nobody: settings", nobody, "GET", "/v1-skerry/config", "", []int{401}},
		{"nobody: servers", nobody, "GET", "/v1-skerry/servers", "", []int{401}},
		{"nobody: a tunnel", nobody, "GET", "/v1-skerry/connect", "", []int{401}},
		{"nobody: certificates", nobody, "POST", "/v1-skerry/certificates", join(of.name), []int{401}},
		{"nobody: joining", nobody, "POST", "/v1-skerry/join", join("other"), []int{401}},
		{"nobody: Secrets", nobody, "GET", "/api/v1/secrets", "", []int{401, 403}},
		{"nobody: a route that is none", nobody, "GET", "/v1-skerry/", "", []int{401, 404}},
	} {
		t.Run(r.what, func(t *testing.T) {
			status, answer, err := send(r.as, r.method, c.url()+r.path, strings.NewReader(r.body))
			if err == nil && !slices.Contains(r.want, status) {
				err = fmt.Errorf("%d %s", status, tail(answer, 3))
			}
			if err != nil {
				t.Errorf("%v; want %v", err, r.want)
			}
		})
	}
	c.unharmed(t)
}

// keyPair reads the certificate and the key that the node's kubelet is known by.
func keyPair(t *testing.T, a *agent) (*x509.Certificate, any) {
	t.Helper()
	text, err1 := a.host.Read(agentDir + "/client-kubelet.crt")
	key, err2 := a.host.Read(agentDir + "/node.key")
	pair, err3 := tls.X509KeyPair(text, key)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return pair.Leaf, pair.PrivateKey
}

// caller is a client in a host that shows these certificates.
func caller(from *testhost.Host, certs ...tls.Certificate) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: from.Dial, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certs}}}
}

func send(as *http.Client, method, url string, body io.Reader) (status int, answer string, err error) {
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		r.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := as.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(text), err
}

// harmOnPorts: connections that say nothing, nonsense or too much, to the server's port and to the nodes' endpoints, are
// ended, and meanwhile everybody else is served.
func harmOnPorts(t *testing.T, c *cluster, a *agent) {
	memory := resident(t, c)
	t.Run("on", func(t *testing.T) {
		for _, p := range []port{
			{"the server's port", a.host.Dial, c.host.Address() + ":6443"},
			{"the server's endpoint", c.host.Dial, "127.0.0.1:6444"},
			{"the agent's endpoint", a.host.Dial, "127.0.0.1:6444"},
		} {
			t.Run(p.what, func(t *testing.T) { t.Parallel(); p.harm(t, c) })
		}
	})
	if now := resident(t, c); now > memory+150<<20 {
		t.Errorf("the server holds %d MB, and held %d MB before", now>>20, memory>>20)
	}
}

// port is one that anybody may connect to, or any program of a node.
type port struct {
	what    string
	from    func(ctx context.Context, network, address string) (net.Conn, error)
	address string
}

func (p port) dial(t *testing.T) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := p.from(ctx, "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func (p port) harm(t *testing.T, c *cluster) {
	var slow []net.Conn
	for range 100 {
		silent, header := p.dial(t), tls.Client(p.dial(t), &tls.Config{InsecureSkipVerify: true})
		_, _ = io.WriteString(header, "GET /version HTTP/1.1\r\nHo")
		slow = append(slow, silent, header)
	}
	for _, nonsense := range []string{"\x00\x01\x02\xff\xfe\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("A", 1<<20)} {
		conn := p.dial(t)
		_, _ = io.WriteString(conn, nonsense)
		ends(t, conn, fmt.Sprintf("a connection that says %.10q", nonsense))
	}
	c.unharmed(t)
	p.tooMuch(t)
	for _, conn := range slow {
		ends(t, conn, "a connection that does not say what it wants")
	}
	c.unharmed(t)
}

// ends wants a connection to be closed from the other end.
func ends(t *testing.T, conn net.Conn, what string) {
	t.Helper()
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s is kept for ever", what)
	}
}

// tooMuch sends bodies that are too large; they are not read to their end.
func (p port) tooMuch(t *testing.T) {
	t.Helper()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: p.from, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for _, path := range []string{"/v1-skerry/join", "/api/v1/namespaces/default/configmaps", "/v1-skerry/ping"} {
		status, _, err := send(client, http.MethodPost, "https://"+p.address+path, bytes.NewReader(make([]byte, 64<<20)))
		if err == nil && status < 400 {
			t.Errorf("64 MiB to %s: %d", path, status)
		}
	}
}

// resident is the memory of the server's process, in bytes.
func resident(t *testing.T, c *cluster) int {
	t.Helper()
	return residentOf(t, c.proc.Pid())
}

// residentOf is the memory of a process, in bytes.
func residentOf(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	var kb int
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatal(err)
	}
	return kb << 10
}
