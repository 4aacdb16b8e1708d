package kubeconfig

import (
	"fmt"
	"io/fs"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"

	"github.com/skerry-io/skerry/internal/durable"
)

// File is one client's way to one server.
type File struct {
	Server   string // URL
	CAFile   string // of the server
	CertFile string // of the client
	KeyFile  string
	// Inline puts the contents of the certificate files into the kubeconfig, so that it can be copied elsewhere.
	Inline bool
}

// Write puts the kubeconfig at path. It holds a client's key or the way to one: mode should be 0600.
func (f File) Write(path string, mode fs.FileMode) error {
	const name = "default"
	cluster := &api.Cluster{Server: f.Server, CertificateAuthority: f.CAFile}
	user := &api.AuthInfo{ClientCertificate: f.CertFile, ClientKey: f.KeyFile}
	if f.Inline {
		if err := inline(cluster, user); err != nil {
			return fmt.Errorf("write kubeconfig %s: %w", path, err)
		}
	}
	config := api.NewConfig()
	config.Clusters[name] = cluster
	config.AuthInfos[name] = user
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	text, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("write kubeconfig %s: %w", path, err)
	}
	return durable.WriteFile(path, text, mode)
}

// inline replaces the names of files by their contents.
func inline(cluster *api.Cluster, user *api.AuthInfo) (err error) {
	read := func(path *string) (text []byte) {
		if err == nil {
			text, err = os.ReadFile(*path)
		}
		*path = ""
		return text
	}
	cluster.CertificateAuthorityData = read(&cluster.CertificateAuthority)
	user.ClientCertificateData = read(&user.ClientCertificate)
	user.ClientKeyData = read(&user.ClientKey)
	return err
}
