package reach

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"
)

// Passing says that what went wrong on the way to a database may be over soon: it was not started yet, the network is not
// there yet, a name is not known yet. A certificate that is wrong stays wrong.
func Passing(err error) bool {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	if errors.As(err, &authority) || errors.As(err, &name) || errors.As(err, &invalid) || errors.As(err, &verification) {
		return false
	}
	var record tls.RecordHeaderError
	var said *net.OpError
	if errors.As(err, &record) || errors.As(err, &said) && said.Op == "remote error" { // the other side has ended TLS, and said why
		return false
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ENOENT) // the socket of a database on this machine
}
