package podrights

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/skerry-io/skerry/internal/wire"
)

// signer signs tokens as API servers do.
type signer struct {
	id        string
	key       crypto.Signer
	algorithm jose.SignatureAlgorithm
}

func newRSA(t *testing.T, id string) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, key, jose.RS256}
}

func newECDSA(t *testing.T, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, key, jose.ES256}
}

func (s signer) public(t *testing.T) wire.TokenKey {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return wire.TokenKey{ID: s.id, Public: der}
}

func (s signer) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if s.id != "" {
		options = options.WithHeader("kid", s.id)
	}
	by, err := jose.NewSigner(jose.SigningKey{Algorithm: s.algorithm, Key: s.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(by).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

const issuer = "https://kubernetes.default.svc.cluster.local"

// claims are those of a token in a pod, as Kubernetes writes them.
func claims() map[string]any {
	now := time.Now()
	return map[string]any{
		"aud": []string{issuer, "skerry"}, "iss": issuer, "sub": "system:serviceaccount:a:web", "jti": "0f",
		"exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "nbf": now.Unix(),
		"kubernetes.io": map[string]any{
			"namespace":      "a",
			"serviceaccount": map[string]any{"name": "web", "uid": "uid-of-web"},
			"pod":            map[string]any{"name": "web-0", "uid": "uid-of-pod"},
			"node":           map[string]any{"name": "pi", "uid": "uid-of-node"},
			"warnafter":      now.Add(time.Minute).Unix(),
		},
	}
}

// inSecret are the claims of a token in a Secret.
func inSecret() map[string]any {
	return map[string]any{
		"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:a:web",
		"kubernetes.io/serviceaccount/namespace":            "a",
		"kubernetes.io/serviceaccount/secret.name":          "web-token",
		"kubernetes.io/serviceaccount/service-account.name": "web",
		"kubernetes.io/serviceaccount/service-account.uid":  "uid-of-web",
	}
}

// place is a node's rights with their file and log.
type place struct {
	*Rights
	log bytes.Buffer
}

func newPlace(t *testing.T, file string) *place {
	t.Helper()
	p := &place{}
	p.Rights = Open(Config{File: file, Log: slog.New(slog.NewTextHandler(&p.log, nil))})
	return p
}

// told is what a server says.
func told(t *testing.T, keys []signer, accounts ...wire.Account) []byte {
	t.Helper()
	all := wire.PodRights{Tokens: wire.AccountTokens{Issuers: []string{issuer, "https://former.example"}, Audiences: []string{issuer, "skerry"}}, Accounts: accounts}
	for _, s := range keys {
		all.Tokens.Keys = append(all.Tokens.Keys, s.public(t))
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func web(rules ...wire.ReadRule) wire.Account {
	return wire.Account{Namespace: "a", Name: "web", UID: "uid-of-web", Rules: rules}
}

// informed is a node that was told.
func informed(t *testing.T, keys []signer, accounts ...wire.Account) *place {
	t.Helper()
	p := newPlace(t, filepath.Join(t.TempDir(), "pod-rights"))
	if err := p.learn(told(t, keys, accounts...)); err != nil {
		t.Fatal(err)
	}
	return p
}
