package entry

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"

	"github.com/skerry-io/skerry/internal/ask"
	"github.com/skerry-io/skerry/internal/fault"
)

// call makes one request. The error is a fault when the server says no; one that is busy or starting does not say no.
func (c Config) call(ctx context.Context, trust *tls.Config, method, path, secret string, body []byte) ([]byte, error) {
	answer, err := ask.Server(ctx, ask.Request{Server: c.Server, Trust: trust, Method: method, Path: path, Secret: secret, Body: body})
	if err != nil {
		return nil, err
	}
	return answer.Body, c.judge(answer)
}

func (c Config) judge(answer ask.Answer) error {
	said, _, _ := strings.Cut(strings.TrimSpace(string(answer.Body)), "\n")
	switch {
	case answer.Code == http.StatusOK:
		return nil
	case answer.Later():
		return fmt.Errorf("%s answers %s: %s", c.Server, answer.Status, said)
	}
	said, cure, _ := strings.Cut(said, "; to cure: ")
	if cure == "" {
		cure = "check that this is the URL of a Skerry server"
	}
	return fault.New("%s did not let this server in: %s", c.Server, said).Fix("%s", cure)
}
