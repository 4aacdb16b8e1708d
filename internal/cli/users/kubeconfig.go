package users

import (
	"crypto/ecdsa"
	"crypto/x509"

	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"

	"github.com/skerry-io/skerry/internal/certs"
)

// kubeconfig is a file that needs no other: it can be copied to where the user is.
func kubeconfig(user, server string, ca []byte, cert *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	secret, err := certs.EncodeKey(key)
	if err != nil {
		return nil, err
	}
	const cluster = "skerry"
	name := user + "@" + cluster
	config := api.NewConfig()
	config.Clusters[cluster] = &api.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[user] = &api.AuthInfo{ClientCertificateData: certs.EncodeCert(cert), ClientKeyData: secret}
	config.Contexts[name] = &api.Context{Cluster: cluster, AuthInfo: user}
	config.CurrentContext = name
	return clientcmd.Write(*config)
}
