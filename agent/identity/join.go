package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// maxAnswer bounds what a server may answer, in bytes.
const maxAnswer = 1 << 20

// join is the first contact: learn the server's CA, hold it against the token, then ask for certificates. A fault
// means that trying again will not help.
func (n *Node) join(ctx context.Context) error {
	token, err := n.config.Token()
	if err != nil {
		return err
	}
	ca, err := n.pinnedCA(ctx, token)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(n.key.Public())
	if err != nil {
		return err
	}
	ask, err := json.Marshal(wire.Join{Name: n.config.Name, Addresses: n.config.Addresses, PublicKey: public})
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	text, err := n.call(ctx, &tls.Config{RootCAs: roots}, http.MethodPost, wire.PathJoin, token.Secret, ask)
	if err != nil {
		return err
	}
	joined, err := n.accept(text)
	if err != nil {
		return fmt.Errorf("the answer of %s to the join request: %w", n.config.Server, err)
	}
	if token.CAHash == "" {
		n.log.Warn("the token does not say which server made it, so whoever answered was trusted", "server", n.config.Server,
			"cure", "use the whole line of the server's token file")
	}
	n.joined = joined
	return nil
}

// accept reads a server's answer: a certificate that is not for this node's key is of no use, now or later.
func (n *Node) accept(text []byte) (*wire.Joined, error) {
	var joined wire.Joined
	if err := json.Unmarshal(text, &joined); err != nil {
		return nil, err
	}
	for _, cert := range []string{joined.Kubelet, joined.KubeletServer, joined.KubeProxy} {
		if _, err := n.pair(cert); err != nil {
			return nil, err
		}
	}
	for _, ca := range []string{joined.ServerCA, joined.ClientCA} {
		if _, err := certs.DecodeCert([]byte(ca)); err != nil {
			return nil, err
		}
	}
	return &joined, nil
}

// pinnedCA fetches the server's CA without trust, and trusts it only when it is the one in the token.
func (n *Node) pinnedCA(ctx context.Context, token wire.Token) (*x509.Certificate, error) {
	text, err := n.call(ctx, &tls.Config{InsecureSkipVerify: true}, http.MethodGet, wire.PathCACerts, "", nil)
	if err != nil {
		return nil, err
	}
	ca, err := certs.DecodeCert(text)
	if err != nil {
		return nil, fmt.Errorf("the CA of %s: %w", n.config.Server, err)
	}
	if !token.Trusts(ca) {
		return nil, fault.New("the server at %s is not the one this token was made by", n.config.Server).
			Fix("take the token from that server's own token file, or correct the server's URL")
	}
	return ca, nil
}

// call makes one request; an answer that refuses is a fault.
func (n *Node) call(ctx context.Context, trust *tls.Config, method, path, secret string, body []byte) ([]byte, error) {
	trust.MinVersion = tls.VersionTLS12
	transport := &http.Transport{TLSClientConfig: trust, TLSHandshakeTimeout: 10 * time.Second}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(n.config.Server, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if secret != "" {
		request.SetBasicAuth(wire.JoinUser, secret)
	}
	client := &http.Client{Transport: transport, CheckRedirect: stay}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, err
	case answer.StatusCode >= 500:
		return nil, fmt.Errorf("%s answers %s", n.config.Server, answer.Status)
	case answer.StatusCode == http.StatusUnauthorized:
		return nil, fault.New("%s does not know this token", n.config.Server).Fix("take the token from that server's token file")
	case answer.StatusCode != http.StatusOK:
		return nil, fault.New("%s refused this node: %s", n.config.Server, reason(answer.Status, text)).
			Fix("check that this is the URL of a Skerry server, and this node's name and addresses")
	}
	return text, nil
}

// stay follows no redirect: a token's secret is for the server it was made by.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// reason is what a refusal says in one line.
func reason(status string, body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if line == "" || len(line) > 300 {
		return status
	}
	return status + ": " + line
}
