package cluster

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/cli/tools/target"
	"github.com/skerry-io/skerry/internal/fault"
)

// patience is how long one request may take.
const patience = 30 * time.Second

// Connection is a client with where it leads to.
type Connection struct {
	kubernetes.Interface
	// Config is how the client reaches the API server.
	Config *rest.Config
	// Files are the kubeconfigs that said so.
	Files []string
}

// Connect makes a client of the cluster that the command is for. It asks the API server nothing yet.
func Connect(env command.Env, access command.Access) (*Connection, error) {
	files, err := target.Files(env.Getenv, access.Kubeconfig)
	if err != nil {
		return nil, err
	}
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&clientcmd.ClientConfigLoadingRules{Precedence: files}, &clientcmd.ConfigOverrides{})
	config, err := loaded.ClientConfig()
	if err != nil {
		return nil, fault.New("use the kubeconfig %s", strings.Join(files, ", ")).Because(err).
			Fix("correct it, or name another with --kubeconfig or KUBECONFIG")
	}
	config.Timeout = patience
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fault.New("use the kubeconfig %s", strings.Join(files, ", ")).Because(err).
			Fix("correct it, or name another with --kubeconfig or KUBECONFIG")
	}
	return &Connection{Interface: client, Config: config, Files: files}, nil
}

// CA is the authority that the kubeconfig trusts the server by, which is also the one that tokens are bound to.
func (c *Connection) CA() (*x509.Certificate, error) {
	text, err := c.CAText()
	if err != nil {
		return nil, err
	}
	ca, err := certs.DecodeCert(text)
	if err != nil {
		return nil, fmt.Errorf("the CA in the kubeconfig %s: %w", strings.Join(c.Files, ", "), err)
	}
	return ca, nil
}

// CAText is that authority in PEM form.
func (c *Connection) CAText() ([]byte, error) {
	text, err := c.Config.CAData, error(nil)
	if len(text) == 0 && c.Config.CAFile != "" {
		text, err = os.ReadFile(c.Config.CAFile)
	}
	if err == nil && len(text) == 0 {
		err = errors.New("it names no certificate authority")
	}
	if err != nil {
		return nil, fault.New("use the kubeconfig %s", strings.Join(c.Files, ", ")).Because(err).
			Fix("use the kubeconfig that the server writes, or a copy of it")
	}
	return text, nil
}
