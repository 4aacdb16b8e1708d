package charts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	patience     = 5 * time.Minute  // a whole fetch
	dialPatience = 10 * time.Second // until a host is reached
	firstByte    = 30 * time.Second // until it begins to answer
)

// client speaks to one repository. Its connections are closed with done.
func (a Access) client() (c *http.Client, done func(), err error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: a.Insecure} //nolint:gosec // the user asks for it
	if len(a.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(a.CA) {
			return nil, nil, fault.New("read the repository's authority: there is no certificate in it").
				Fix("give certificates in PEM in spec.repoCA or spec.repoCAConfigMap")
		}
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialPatience}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   dialPatience,
		ResponseHeaderTimeout: firstByte,
		ForceAttemptHTTP2:     true,
	}
	return &http.Client{Transport: transport}, transport.CloseIdleConnections, nil
}

// fromURL gives what lies at an address.
func (s Source) fromURL(ctx context.Context, address string) (Archive, error) {
	client, done, err := s.client()
	if err != nil {
		return Archive{}, err
	}
	defer done()
	content, err := s.get(ctx, client, address, address, maxArchive)
	return Archive{Content: content, From: address}, err
}

// get reads an address. Credentials go along where home's host is asked.
func (a Access) get(ctx context.Context, client *http.Client, address, home string, most int64) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fault.New("read the address %q", address).Because(err).Fix("correct spec.repo or spec.chart")
	}
	request.Header.Set("User-Agent", "Helm/3 skerry")
	if a.Username != "" && (a.Everywhere || sameHost(request.URL, home)) {
		request.SetBasicAuth(a.Username, a.Password)
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, unreached(address, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 4<<10)) // so that the connection can be used again
		return nil, refused(address, answer.StatusCode, answer.Status)
	}
	content, err := limited(answer.Body, most)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", address, err)
	}
	return content, nil
}

func sameHost(asked *url.URL, home string) bool {
	h, err := url.Parse(home)
	return err == nil && h.Scheme == asked.Scheme && h.Host == asked.Host
}

// unreached explains why a host did not answer.
func unreached(address string, err error) error {
	if cause, ok := err.(*url.Error); ok { //nolint:errorlint // the outermost, so that the address is said once
		err = cause.Err
	}
	return fault.New("reach %s", address).Because(err).
		Fix("check the address, the way there from this server, and the authority (spec.repoCA, spec.insecureSkipTLSVerify)")
}

func refused(address string, code int, status string) error {
	f := fault.New("fetch %s: it answers %s", address, status)
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return f.Fix("name a Secret with username and password in spec.authSecret")
	case http.StatusNotFound:
		return f.Fix("correct spec.repo, spec.chart and spec.version")
	}
	return f.Fix("look at the repository's own log")
}
