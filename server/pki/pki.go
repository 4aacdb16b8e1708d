package pki

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
)

// Names are what the API server is called, for its serving certificate.
type Names struct {
	DNS []string
	IPs []netip.Addr
}

// PKI is the opened tls directory.
type PKI struct {
	dir    string
	names  Names
	leaves []leaf

	ServerCA  *certs.CA // signs what listens
	ClientCA  *certs.CA // signs who asks
	RequestCA *certs.CA // signs the aggregator when it speaks for a user
	MemberCA  *certs.CA // signs members of etcd, and nobody else; nil until OpenMember

	APIServer         certs.Pair // serving, on the API port
	KubeletClient     certs.Pair // the API server towards kubelets
	AuthProxy         certs.Pair // the aggregator towards extension API servers
	Admin             certs.Pair // the user of the kubeconfig
	ControllerManager certs.Pair
	Scheduler         certs.Pair
	Member            certs.Pair // this server's member of etcd, towards the others and as a client of them; see OpenMember

	// NodeLife is how long certificates of nodes are good; a year when it is zero.
	NodeLife time.Duration

	// ServiceAccountKey signs service account tokens.
	ServiceAccountKey *ecdsa.PrivateKey
}

// Open loads the directory, and makes what is missing or worn out.
func Open(dir string, names Names, log *slog.Logger) (*PKI, error) {
	p := &PKI{dir: dir, names: names}
	for _, ca := range []struct {
		to   **certs.CA
		name string
	}{{&p.ServerCA, "server-ca"}, {&p.ClientCA, "client-ca"}, {&p.RequestCA, "request-header-ca"}} {
		var err error
		if *ca.to, err = p.authority(ca.name, log); err != nil {
			return nil, err
		}
	}
	var err error
	if p.ServiceAccountKey, err = certs.LoadKey(p.ServiceAccountKeyFile()); err != nil {
		return nil, fault.New("read the key that signs service account tokens").Because(err).
			Fix("put %s back from a backup; without one remove it, and restart the pods that talk to the API", p.ServiceAccountKeyFile())
	}
	p.leaves = p.table(names)
	_, err = p.Renew(log)
	return p, err
}

// Authority is where an authority's files lie: "server-ca", "client-ca", "request-header-ca" or "etcd-ca".
func (p *PKI) Authority(name string) certs.Pair { return p.pair(name) }

// ServiceAccountKeyFile is the PEM file of the key that signs service account tokens.
func (p *PKI) ServiceAccountKeyFile() string { return filepath.Join(p.dir, "service.key") }

func (p *PKI) pair(name string) certs.Pair { return certs.Pair{Base: filepath.Join(p.dir, name)} }

// authority loads a CA, or makes it when neither of its files exists. A key alone gets a certificate again: the power
// may have gone between the two, and whoever trusts the key trusts its new certificate as well.
func (p *PKI) authority(name string, log *slog.Logger) (*certs.CA, error) {
	pair := p.pair(name)
	cert, key, err := pair.Load()
	switch {
	case err == nil:
		ca := &certs.CA{Certificate: cert, Key: key}
		return ca, usable(ca, pair)
	case errors.Is(err, certs.ErrNoPair):
		key, err = certs.NewKey()
	case errors.Is(err, certs.ErrNoCert):
		log.Warn("an authority's certificate is missing and is made again from its key", "file", pair.CertFile())
		key, err = certs.LoadKey(pair.KeyFile())
	}
	if err != nil {
		return nil, damaged(pair, err)
	}
	ca, err := certs.NewCA("skerry-"+name, key)
	if err != nil {
		return nil, fmt.Errorf("make the authority %s: %w", name, err)
	}
	return ca, pair.Save(ca.Certificate, ca.Key)
}

// usable refuses an authority whose signatures nobody would accept.
func usable(ca *certs.CA, pair certs.Pair) error {
	if !ca.Certificate.IsCA {
		return damaged(pair, errors.New("the certificate is not one of an authority"))
	}
	if ca.Expired() {
		return fault.New("the certificate authority %s expired on %s", pair.CertFile(), ca.Certificate.NotAfter.Format(time.DateOnly)).
			Fix("correct this machine's clock, which says %s; if the clock is right, put a new authority in its place and let every node join again",
				time.Now().UTC().Format(time.DateOnly))
	}
	return nil
}

func damaged(pair certs.Pair, err error) error {
	return fault.New("read the certificate authority %s", pair.Base).Because(err).
		Fix("put %s and %s back from a backup: every node trusts this authority", pair.CertFile(), pair.KeyFile())
}

// leaf is one certificate of the control plane.
type leaf struct {
	pair    certs.Pair
	ca      *certs.CA
	subject certs.Subject
}

// table is all of them.
func (p *PKI) table(names Names) []leaf {
	p.APIServer, p.KubeletClient = p.pair("serving-kube-apiserver"), p.pair("client-kube-apiserver")
	p.AuthProxy, p.Admin = p.pair("client-auth-proxy"), p.pair("client-admin")
	p.ControllerManager, p.Scheduler = p.pair("client-controller"), p.pair("client-scheduler")
	masters := []string{"system:masters"}
	client := func(user string, groups ...string) certs.Subject {
		return certs.Subject{Name: user, Groups: groups, Client: true}
	}
	return []leaf{
		{p.APIServer, p.ServerCA, certs.Subject{Name: "kube-apiserver", DNS: names.DNS, IPs: names.IPs, Server: true}},
		{p.KubeletClient, p.ClientCA, client("kube-apiserver", masters...)},
		{p.AuthProxy, p.RequestCA, client("system:auth-proxy")},
		{p.Admin, p.ClientCA, client("system:admin", masters...)},
		{p.ControllerManager, p.ClientCA, client("system:kube-controller-manager")},
		{p.Scheduler, p.ClientCA, client("system:kube-scheduler")},
	}
}
