package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// maxAnswer bounds what a server may say about an error, in bytes.
const maxAnswer = 64 << 10

// Request is a call of one of a server's own routes.
type Request struct {
	Method, Path string // the path may have a query
	Body         []byte
	Doing        string // what is tried, for example "list the keys"
}

// Ask makes a request of the server that a kubeconfig leads to, with its client certificate, and hands the answer to read, unless that is nil.
func Ask(ctx context.Context, config *rest.Config, q Request, read func(io.Reader) error) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return fault.New("%s", q.Doing).Because(err)
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, q.Method, strings.TrimRight(config.Host, "/")+q.Path, bytes.NewReader(q.Body))
	if err != nil {
		return fault.New("%s", q.Doing).Because(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return Explain(err, "%s", q.Doing)
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode >= 300:
		text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		if err != nil {
			return Explain(err, "%s", q.Doing)
		}
		return refusal(fault.New("%s", q.Doing), config.Host, answer.StatusCode, text)
	case read == nil:
		return nil
	}
	return Explain(read(answer.Body), "%s", q.Doing)
}

// refusal is the error in an answer.
func refusal(f *fault.Fault, host string, status int, body []byte) error {
	reason, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if what, cure, told := strings.Cut(reason, "; to cure: "); told {
		return f.Because(errors.New(what)).Fix("%s", cure)
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return f.Because(errors.New(reason)).Fix("use the administrator's kubeconfig, %s on the server", config.DefaultKubeconfig)
	case http.StatusNotFound:
		return f.Because(fmt.Errorf("%s is no Skerry server that knows of it", host)).Fix("name the kubeconfig that the server writes with --kubeconfig")
	}
	return f.Because(fmt.Errorf("%s answers %d: %s", host, status, reason)).Fix("the server's log says why")
}
