package certtest

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/client-go/transport"
)

// Mirror is a server that tells whoever asks which certificate it was shown. Clients of Kubernetes look for a renewed one often meanwhile.
type Mirror struct{ URL string }

// NewMirror starts one with its settings, which ask clients for a certificate. It ends with the test.
func NewMirror(t testing.TB, c *tls.Config) Mirror {
	t.Helper()
	was := transport.CertCallbackRefreshDuration
	transport.CertCallbackRefreshDuration = 50 * time.Millisecond
	t.Cleanup(func() { transport.CertCallbackRefreshDuration = was })
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].SerialNumber.String())
	}))
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.EnableHTTP2, web.TLS = true, c
	web.StartTLS()
	t.Cleanup(web.Close)
	if c.GetCertificate != nil {
		web.TLS.Certificates = nil // what httptest brings
	}
	return Mirror{web.URL}
}

// Shown asks, and gives the number of the certificate; "" when there is no answer, as when a connection was closed under its request.
func (m Mirror) Shown(via http.RoundTripper) string {
	answer, err := (&http.Client{Transport: via}).Get(m.URL)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return string(text)
}
