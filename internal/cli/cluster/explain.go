package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// Explain makes a fault of what a client was told: doing is what was tried, for example "list the nodes". An error that
// is a fault already stays what it is; nil stays nil.
func Explain(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	doing = fmt.Sprintf(doing, args...)
	var told *fault.Fault
	if errors.As(err, &told) {
		return err
	}
	f := fault.New("%s", doing)
	var untrusted *tls.CertificateVerificationError
	var network *net.OpError
	var server *url.Error
	errors.As(err, &server)
	switch {
	case errors.As(err, &untrusted):
		return f.Because(err).Fix("take a fresh copy of the kubeconfig from the server: this one is for another server or another CA")
	case apierrors.IsUnauthorized(err):
		return f.Because(errors.New("the API server does not know who asks")).
			Fix("take a fresh kubeconfig: the certificate in this one has expired or is of another cluster; the administrator's is %s on the server", config.DefaultKubeconfig)
	case apierrors.IsForbidden(err):
		return f.Because(err).Fix("use the administrator's kubeconfig, %s on the server", config.DefaultKubeconfig)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), server != nil && server.Timeout():
		return f.Because(err).Fix("see whether the server runs and can be reached from here, and try again")
	case errors.As(err, &network):
		return f.Because(err).Fix("start the server, or name a kubeconfig that leads to one that runs, with --kubeconfig or KUBECONFIG")
	case apierrors.IsServiceUnavailable(err):
		return f.Because(err).Fix("wait a moment: the API server is starting")
	}
	return f.Because(err)
}
