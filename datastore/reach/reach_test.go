package reach

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/internal/fault"
)

func TestAwait(t *testing.T) {
	soon, never := errors.New("soon"), errors.New("never")
	passing := func(err error) bool { return errors.Is(err, soon) }
	var told []error
	answers := []error{soon, soon, nil}
	err := Await(t.Context(), func(context.Context) error {
		answer := answers[0]
		answers = answers[1:]
		return answer
	}, passing, func(err error) { told = append(told, err) })
	if err != nil || len(told) != 3 || told[1] != soon || told[2] != nil {
		t.Errorf("told %v, then %v", told, err)
	}
	if err := Await(t.Context(), func(context.Context) error { return never }, passing, func(error) { t.Error("it waits") }); !errors.Is(err, never) {
		t.Errorf("what will not pass: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	if err := Await(ctx, func(context.Context) error { return soon }, passing, func(error) { stop() }); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that ends: %v", err)
	}
}

func TestPassing(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"refused":   {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		"no name":   {&net.DNSError{IsNotFound: true}, true},
		"no socket": {&net.OpError{Op: "dial", Err: syscall.ENOENT}, true},
		"late":      {context.DeadlineExceeded, true},
		"authority": {&net.OpError{Op: "dial", Err: x509.UnknownAuthorityError{}}, false},
		"name":      {&tls.CertificateVerificationError{Err: x509.HostnameError{}}, false},
		"plain":     {&net.OpError{Op: "read", Err: tls.RecordHeaderError{}}, false},
		"alert":     {&net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}, false},
		"password":  {errors.New("denied"), false},
	} {
		if got := Passing(c.err); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func version36(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte(`{"etcdserver":"3.6.1"}`))
}

func TestEtcd(t *testing.T) {
	silent := func(error) {}
	plain := httptest.NewServer(http.HandlerFunc(version36))
	defer plain.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	if err := Etcd(t.Context(), datastore.Endpoint{URLs: []string{gone.URL, plain.URL}}, "etcd", silent); err != nil {
		t.Errorf("one member of two answers: %v", err)
	}
	secure := httptest.NewUnstartedServer(http.HandlerFunc(version36))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Etcd(t.Context(), datastore.Endpoint{URLs: []string{secure.URL}, CAFile: ca}, "etcd", silent); err != nil {
		t.Errorf("with its authority: %v", err)
	}
	wants := httptest.NewUnstartedServer(http.HandlerFunc(version36))
	wants.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	wants.Config.ErrorLog = secure.Config.ErrorLog
	wants.StartTLS()
	defer wants.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	defer other.Close()
	for name, c := range map[string]struct {
		e    datastore.Endpoint
		want string
	}{
		"another authority":      {datastore.Endpoint{URLs: []string{secure.URL}}, "unknown authority"},
		"no certificate of ours": {datastore.Endpoint{URLs: []string{wants.URL}, CAFile: ca}, "certificate"},
		"no etcd":                {datastore.Endpoint{URLs: []string{other.URL}}, "is not etcd"},
		"https for http":         {datastore.Endpoint{URLs: []string{strings.Replace(plain.URL, "http:", "https:", 1)}}, "HTTP response to HTTPS client"},
		"a file that is none":    {datastore.Endpoint{URLs: []string{secure.URL}, CAFile: "/dev/null"}, "certificate"},
	} {
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		err := Etcd(ctx, c.e, "etcd at x", silent)
		var told *fault.Fault
		if !errors.As(err, &told) || told.Cure() == "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		stop()
	}
	ctx, stop := context.WithCancel(t.Context())
	if err := Etcd(ctx, datastore.Endpoint{URLs: []string{gone.URL}}, "etcd", func(error) { stop() }); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody is there: %v", err)
	}
}
