package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// maxLost bounds how often a request that only reads is sent again after a server took it and did not answer: it may be
// the request that brings servers down.
const maxLost = 3

// lostError is the end of a request that a server may have carried out: the caller has to look.
type lostError struct{ cause error }

func (e *lostError) Error() string {
	return fmt.Sprintf("the connection to the API server was lost before it answered; the request may have been carried out: %v", e.cause)
}

func (e *lostError) Unwrap() error { return e.cause }

// MayBeDone says that nobody else should answer.
func (e *lostError) MayBeDone() bool { return true }

// startingError is the answer of a server whose API is not there yet.
type startingError struct{ server string }

func (e *startingError) Error() string { return "the API server at " + e.server + " is starting" }

// attempt is one sending of a request.
type attempt struct {
	sent atomic.Bool // it got a connection, so that the server may have seen it
}

// prepare gives the request as it goes to u.
func (a *attempt) prepare(r *http.Request, body *onceBody, u *upstream) *http.Request {
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { a.sent.Store(true) }}
	out := r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
	target := *r.URL
	if !u.local {
		target = onWire(r)
	}
	target.Scheme, target.Host = "https", u.address
	out.URL, out.Host = &target, ""
	if body != nil {
		out.Body = body
	}
	return out
}

// onceBody is a request's body that survives attempts which never came to read it.
type onceBody struct {
	io.ReadCloser
	read atomic.Bool
}

func bodyOf(r *http.Request) *onceBody {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	return &onceBody{ReadCloser: r.Body}
}

// Read notes that the body can be sent no second time.
func (b *onceBody) Read(p []byte) (int, error) {
	b.read.Store(true)
	return b.ReadCloser.Read(p)
}

// Close keeps a body that nobody has read of.
func (b *onceBody) Close() error {
	if !b.read.Load() {
		return nil
	}
	return b.ReadCloser.Close()
}

// whole says that the body can still be sent.
func (b *onceBody) whole() bool { return b == nil || !b.read.Load() }

// onlyReads says that a request may be carried out twice.
func onlyReads(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions) && !upgrades(r)
}

// isStarting tells the answer of a server whose API is not there yet from other refusals, which mean what they say.
func isStarting(answer *http.Response) bool {
	return answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") != "" &&
		strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain")
}

// passes says that an error is one of a server that starts, stops or went silent: another moment, another answer.
func passes(err error) bool {
	var status *startingError
	return errors.As(err, &status) || errors.Is(err, errGivenUp) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// distrusted says that whoever answered is no server of this cluster.
func distrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var garbage tls.RecordHeaderError
	return errors.As(err, &certificate) || errors.As(err, &unknown) || errors.As(err, &garbage)
}

// isWatch says that the answer never ends on its own.
func isWatch(r *http.Request) bool {
	asked, _ := strconv.ParseBool(r.URL.Query().Get("watch"))
	return asked && r.Method == http.MethodGet
}
