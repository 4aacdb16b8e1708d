package users

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	certificates "k8s.io/api/certificates/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typed "k8s.io/client-go/kubernetes/typed/certificates/v1"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// signing is how long the cluster may take to sign: its controllers may be starting.
	signing = time.Minute
	// look is the pause between two looks.
	look = 200 * time.Millisecond
	// cleaning is how long the removal of a request may take when the command was interrupted.
	cleaning = 5 * time.Second
)

// request is what a certificate shall say.
type request struct {
	user   string
	groups []string
	ttl    time.Duration
}

// sign has the cluster sign a certificate for the key, and leaves no request behind.
func sign(ctx context.Context, client kubernetes.Interface, r request, key *ecdsa.PrivateKey) (_ *x509.Certificate, err error) {
	doing := "get a certificate for " + r.user
	ask, err := r.object(key)
	if err != nil {
		return nil, err
	}
	requests := client.CertificatesV1().CertificateSigningRequests()
	made, err := requests.Create(ctx, ask, meta.CreateOptions{})
	if err != nil {
		return nil, cluster.Explain(err, "%s", doing)
	}
	defer func() {
		late, stop := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
		defer stop()
		if gone := requests.Delete(late, made.Name, meta.DeleteOptions{}); gone != nil {
			err = errors.Join(err, fmt.Errorf("remove the request %s: %w", made.Name, gone))
		}
	}()
	made.Status.Conditions = append(made.Status.Conditions, certificates.CertificateSigningRequestCondition{
		Type: certificates.CertificateApproved, Status: core.ConditionTrue, Reason: "SkerryKubeconfigCreate",
		Message: "approved by who made it", LastUpdateTime: meta.Now(),
	})
	if _, err := requests.UpdateApproval(ctx, made.Name, made, meta.UpdateOptions{}); err != nil {
		return nil, cluster.Explain(err, "%s", doing)
	}
	text, err := await(ctx, requests, made.Name)
	if err != nil {
		return nil, cluster.Explain(err, "%s", doing)
	}
	return certs.DecodeCert(text)
}

// object is the request as the cluster takes it.
func (r request) object(key *ecdsa.PrivateKey) (*certificates.CertificateSigningRequest, error) {
	subject := pkix.Name{CommonName: r.user, Organization: r.groups}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err != nil {
		return nil, err
	}
	seconds := int32(min(r.ttl, 1<<31*time.Second-1) / time.Second)
	return &certificates.CertificateSigningRequest{
		ObjectMeta: meta.ObjectMeta{GenerateName: "skerry-user-"},
		Spec: certificates.CertificateSigningRequestSpec{
			Request:           pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName:        certificates.KubeAPIServerClientSignerName,
			ExpirationSeconds: &seconds,
			Usages:            []certificates.KeyUsage{certificates.UsageDigitalSignature, certificates.UsageClientAuth},
		},
	}, nil
}

// await gives the certificate once it is signed.
func await(ctx context.Context, requests typed.CertificateSigningRequestInterface, name string) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, signing)
	defer stop()
	for {
		now, err := requests.Get(ctx, name, meta.GetOptions{})
		if err != nil {
			return nil, err
		}
		if len(now.Status.Certificate) > 0 {
			return now.Status.Certificate, nil
		}
		for _, c := range now.Status.Conditions {
			if c.Type == certificates.CertificateFailed || c.Type == certificates.CertificateDenied {
				return nil, fault.New("the cluster does not sign the certificate").Because(fmt.Errorf("%s: %s", c.Reason, c.Message)).
					Fix("see whether the user and its groups are such that a certificate may name")
			}
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return nil, fault.New("the cluster did not sign the certificate within %s", signing).Because(ctx.Err()).
				Fix("see in the server's log whether its controllers run")
		}
	}
}
