package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// trouble is why no server answers, for an operator.
type trouble struct{ kind, text, cure string }

// explain says what stands behind an error of a call.
func explain(err error) trouble {
	var unresolved *net.DNSError
	var working stillGood
	switch {
	case errors.As(err, &working):
		return trouble{"refused", "the server refuses this node, which works on with the certificates it has", "see what it says"}
	case errors.As(err, &unresolved):
		return trouble{"name", "the name " + unresolved.Name + " cannot be looked up", "correct the server's URL, or this machine's DNS"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return trouble{"refuse", "nothing listens there", "start the server, or correct host and port in its URL"}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return trouble{"route", "this machine has no way to the server", "look at its network, or correct the server's URL"}
	}
	if about, known := explainTLS(err); known {
		return about
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || isTimeout(err) {
		return trouble{"time", "nothing answers in time", "let the server's port through the firewalls between, or correct its URL"}
	}
	var says busy
	if errors.As(err, &says) {
		return trouble{"busy", "the server cannot answer now", "wait; if it lasts, look at the server's log"}
	}
	return trouble{"other", "the call did not work", "look at the server and the network between"}
}

// explainTLS is for what goes wrong before a request can be sent.
func explainTLS(err error) (about trouble, known bool) {
	var header tls.RecordHeaderError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &header):
		return trouble{"plain", "what listens there speaks no TLS, http perhaps", "correct the port in the server's URL: a Skerry server listens on 6443"}, true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return trouble{"clock", fmt.Sprintf("the server's certificate does not count at this machine's time, %s; it is from %s to %s",
			time.Now().UTC().Format(time.RFC3339), invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339)),
			"correct this machine's clock; if it is right, restart the server, which renews its certificate"}, true
	case errors.As(err, &name):
		return trouble{"san", "the server's certificate is not for this address: " + name.Error(), "set tls-san on the server, or use another of its addresses"}, true
	case errors.As(err, &authority):
		return trouble{"authority", "what answers is not a server of this node's cluster, or something stands between",
			"correct the server's URL; look at what answers there"}, true
	}
	return trouble{}, false
}

func isTimeout(err error) bool {
	var of net.Error
	return errors.As(err, &of) && of.Timeout()
}
