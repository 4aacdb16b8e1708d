package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// join is the first contact: learn the server's CA, hold it against the token, then ask for certificates. before is what
// the node kept of an earlier one, nil for none. A fault means that trying again will not help.
func (n *Node) join(ctx context.Context, before *material) error {
	token, err := n.config.Token()
	if err != nil {
		return err
	}
	ca, err := n.pinnedCA(ctx, token, before)
	if err != nil {
		return err
	}
	ask, err := n.request()
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	text, err := call(ctx, request{server: n.config.Server, trust: &tls.Config{RootCAs: roots}, method: http.MethodPost, path: wire.PathJoin,
		secret: token.Secret, body: ask, heard: n.config.Heard})
	if err != nil {
		return err
	}
	m, err := n.accept(text)
	if err != nil {
		return fmt.Errorf("the answer of %s to the join request: %w", n.config.Server, err)
	}
	if token.CAHash == "" && before == nil {
		n.log.Warn("the token does not say which server made it, so whoever answered was trusted; from now on it is this one",
			"server", n.config.Server, "cure", "use the whole line of the server's token file")
	}
	return n.take(m)
}

// request is what the node asks for.
func (n *Node) request() ([]byte, error) {
	public, err := x509.MarshalPKIXPublicKey(n.key.Public())
	if err != nil {
		return nil, err
	}
	return json.Marshal(wire.Join{Name: n.config.Name, Addresses: n.config.Addresses, PublicKey: public})
}

// accept reads a server's answer.
func (n *Node) accept(text []byte) (*material, error) {
	k := kept{Name: n.config.Name, Addresses: n.config.Addresses}
	if err := json.Unmarshal(text, &k.Joined); err != nil {
		return nil, err
	}
	k.Life = k.CertificateLife
	return n.read(k)
}

// pinnedCA fetches the server's CA without trust, and trusts it only when it is the one in the token; for a token that
// names none, the one that was learnt before.
func (n *Node) pinnedCA(ctx context.Context, token wire.Token, before *material) (*x509.Certificate, error) {
	text, err := call(ctx, request{server: n.config.Server, trust: &tls.Config{InsecureSkipVerify: true}, method: http.MethodGet, path: wire.PathCACerts})
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
	// An authority that was made again of its key is the same one.
	if token.CAHash == "" && before != nil && !bytes.Equal(ca.RawSubjectPublicKeyInfo, before.ca.RawSubjectPublicKeyInfo) {
		return nil, fault.New("the server at %s is not of the cluster that this node joined before", n.config.Server).
			Fix("use the whole line of that server's token file, which says that it is meant; or correct the server's URL")
	}
	return ca, nil
}
