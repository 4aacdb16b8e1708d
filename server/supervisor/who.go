package supervisor

import (
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/nodes"
)

// who is a kind of caller.
type who int

const (
	anyone            who = iota
	tokenHolder           // sends the secret of a token
	serverTokenHolder     // sends the secret of the server token, which no agent needs
	node                  // has a client certificate of a node
	lateNode              // has one that may be over
	administrator         // has one of the group system:masters
)

// adminGroup is the group that a client certificate of an administrator is for.
const adminGroup = "system:masters"

// caller is who makes a request.
type caller struct {
	name        string // of the node, or of the administrator
	fingerprint string // of the key in a node's certificate
	secret      string // of the token
	late        bool   // the certificate is over
}

// identify says who calls; the error is a refusal when that is not one of those who may.
func (s *Supervisor) identify(w who, r *http.Request) (caller, error) {
	switch w {
	case anyone:
		return caller{}, nil
	case tokenHolder:
		return s.byToken(r)
	case serverTokenHolder:
		return s.byServerToken(r)
	case node, lateNode:
		c, err := s.byCertificate(r, wire.NodeGroup)
		if err == nil && c.late && w == node {
			err = refusal{http.StatusUnauthorized, "the client certificate is over; to cure: start the node again, it gets another one with its key"}
		}
		return c, err
	case administrator:
		c, err := s.byCertificate(r, adminGroup)
		if err == nil && c.late {
			err = refusal{http.StatusUnauthorized, "the client certificate is over; to cure: take the server's present kubeconfig"}
		}
		return c, err
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

// byServerToken lets a request pass whose token is not one for agents only.
func (s *Supervisor) byServerToken(r *http.Request) (caller, error) {
	c, err := s.byToken(r)
	if err == nil && !s.Tokens.IsServer(c.secret) {
		s.limits.guessed(r)
		return caller{}, refusal{http.StatusForbidden, "a further server needs the server token, and this one is for agents; to cure: take the content of server/token in the data directory of a server"}
	}
	return c, err
}

// byCertificate lets a request pass that has a client certificate of this cluster with a group; its time may be over, which
// the caller says. That he has its key was proved in the handshake. Strangers all hear the same.
func (s *Supervisor) byCertificate(r *http.Request, group string) (caller, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return caller{}, refusal{http.StatusUnauthorized, "this needs a client certificate of the cluster"}
	}
	cert := r.TLS.PeerCertificates[0]
	late := certs.Over(cert)
	if err := s.verify(cert, late); err != nil {
		return caller{}, refusal{http.StatusUnauthorized, "the client certificate does not count here: it is not one of this cluster"}
	}
	name, isNode := strings.CutPrefix(cert.Subject.CommonName, wire.NodeUser)
	if !slices.Contains(cert.Subject.Organization, group) || group == wire.NodeGroup && (!isNode || name == "") {
		return caller{}, refusal{http.StatusForbidden, cert.Subject.CommonName + " may not call this"}
	}
	fingerprint, err := nodes.Fingerprint(cert.PublicKey)
	return caller{name: name, fingerprint: fingerprint, late: late}, err
}

// verify wants a certificate that this cluster has issued: one that counts, or late one that did until it was over.
func (s *Supervisor) verify(cert *x509.Certificate, late bool) error {
	at := time.Now()
	if late {
		at = cert.NotAfter
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.PKI.ClientCA.Certificate)
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, CurrentTime: at})
	return err
}
