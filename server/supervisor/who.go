package supervisor

import (
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/nodes"
)

// who is a kind of caller.
type who int

const (
	anyone        who = iota
	tokenHolder       // sends the secret of a token
	node              // has a client certificate of a node
	administrator     // has one of the group system:masters
)

// Who a client certificate is for, as Kubernetes reads it.
const (
	nodeUser   = "system:node:"
	nodeGroup  = "system:nodes"
	adminGroup = "system:masters"
)

// caller is who makes a request.
type caller struct {
	name        string // of the node, or of the administrator
	fingerprint string // of the key in a node's certificate
	secret      string // of the token
}

// identify says who calls; the error is a refusal when that is not one of those who may.
func (s *Supervisor) identify(w who, r *http.Request) (caller, error) {
	switch w {
	case anyone:
		return caller{}, nil
	case tokenHolder:
		return s.byToken(r)
	case node:
		return s.byCertificate(r, nodeGroup)
	case administrator:
		return s.byCertificate(r, adminGroup)
	}
	return caller{}, refusal{http.StatusForbidden, "nobody may call this"}
}

// byToken lets a request pass whose basic authentication has the secret of a token. Who guesses is slowed down.
func (s *Supervisor) byToken(r *http.Request) (caller, error) {
	user, secret, ok := r.BasicAuth()
	if !ok || user != wire.JoinUser {
		return caller{}, refusal{http.StatusUnauthorized, "a node joins with a token, and this request has none"}
	}
	if !s.limits.mayGuess(r) {
		return caller{}, refusal{http.StatusTooManyRequests, "too many wrong tokens from this address; try again in a moment"}
	}
	err := s.Tokens.Check(r.Context(), s.Client(), secret)
	var wrong *fault.Fault
	if errors.As(err, &wrong) {
		s.limits.guessed(r)
		return caller{}, refusal{http.StatusUnauthorized, err.Error()}
	}
	return caller{secret: secret}, err
}

// byCertificate lets a request pass that has a client certificate of this cluster with a group.
func (s *Supervisor) byCertificate(r *http.Request, group string) (caller, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return caller{}, refusal{http.StatusUnauthorized, "this needs a client certificate of the cluster"}
	}
	cert := r.TLS.PeerCertificates[0]
	if err := s.verify(cert); err != nil {
		return caller{}, refusal{http.StatusUnauthorized, "the client certificate does not count here: " + err.Error()}
	}
	name, isNode := strings.CutPrefix(cert.Subject.CommonName, nodeUser)
	if !slices.Contains(cert.Subject.Organization, group) || group == nodeGroup && (!isNode || name == "") {
		return caller{}, refusal{http.StatusForbidden, cert.Subject.CommonName + " may not call this"}
	}
	fingerprint, err := nodes.Fingerprint(cert.PublicKey)
	return caller{name: name, fingerprint: fingerprint}, err
}

func (s *Supervisor) verify(cert *x509.Certificate) error {
	roots := x509.NewCertPool()
	roots.AddCert(s.PKI.ClientCA.Certificate)
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}
