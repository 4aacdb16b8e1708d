package users

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	certificates "k8s.io/api/certificates/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/tests/certtest"
)

// signer is a cluster that answers an approved request with what status gives.
func signer(t *testing.T, status func(*certificates.CertificateSigningRequest)) *fake.Clientset {
	client := fake.NewSimpleClientset()
	client.PrependReactor("create", "certificatesigningrequests", func(action kubetesting.Action) (bool, runtime.Object, error) {
		made := action.(kubetesting.CreateAction).GetObject().(*certificates.CertificateSigningRequest)
		made.Name = made.GenerateName + "x"
		return false, nil, nil
	})
	client.PrependReactor("update", "certificatesigningrequests", func(action kubetesting.Action) (bool, runtime.Object, error) {
		asked := action.(kubetesting.UpdateAction).GetObject().(*certificates.CertificateSigningRequest)
		if action.GetSubresource() != "approval" || len(asked.Status.Conditions) != 1 || asked.Status.Conditions[0].Type != certificates.CertificateApproved {
			t.Errorf("updated %s with %+v", action.GetSubresource(), asked.Status)
		}
		status(asked)
		return false, nil, nil
	})
	return client
}

func signedBy(t *testing.T, ca *certs.CA) func(*certificates.CertificateSigningRequest) {
	return func(r *certificates.CertificateSigningRequest) {
		block, _ := pem.Decode(r.Spec.Request)
		ask, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			t.Error(err)
			return
		}
		cert, err := ca.Sign(certs.Subject{Name: ask.Subject.CommonName, Groups: ask.Subject.Organization, Client: true}, ask.PublicKey)
		if err != nil {
			t.Error(err)
			return
		}
		r.Status.Certificate = certs.EncodeCert(cert)
	}
}

func left(t *testing.T, client *fake.Clientset) int {
	t.Helper()
	list, err := client.CertificatesV1().CertificateSigningRequests().List(t.Context(), meta.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}

func TestACertificateIsForTheUserAndItsGroups(t *testing.T) {
	ca := certtest.CA(t, "client-ca")
	var asked certificates.CertificateSigningRequestSpec
	client := signer(t, func(r *certificates.CertificateSigningRequest) { asked = r.Spec; signedBy(t, ca)(r) })
	key, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := sign(t.Context(), client, request{user: "amy", groups: []string{"ops", "dev"}, ttl: time.Hour}, key)
	if err != nil {
		t.Fatal(err)
	}
	if cert.Subject.CommonName != "amy" || !slices.Equal(slices.Sorted(slices.Values(cert.Subject.Organization)), []string{"dev", "ops"}) || !key.PublicKey.Equal(cert.PublicKey) {
		t.Errorf("got %s", cert.Subject)
	}
	if asked.SignerName != certificates.KubeAPIServerClientSignerName || *asked.ExpirationSeconds != 3600 || len(asked.Usages) != 2 {
		t.Errorf("asked for %+v", asked)
	}
	if n := left(t, client); n > 0 {
		t.Errorf("%d requests were left in the cluster", n)
	}
	text, err := kubeconfig("amy", "https://k.example:6443", certs.EncodeCert(ca.Certificate), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(text)
	if err != nil || config.Host != "https://k.example:6443" || !bytes.Equal(config.CAData, certs.EncodeCert(ca.Certificate)) {
		t.Fatalf("%v, %v", config, err)
	}
	if _, err := tls.X509KeyPair(config.CertData, config.KeyData); err != nil {
		t.Error(err)
	}
}

func TestARequestThatIsRefusedIsRemoved(t *testing.T) {
	client := signer(t, func(r *certificates.CertificateSigningRequest) {
		r.Status.Conditions = append(r.Status.Conditions, certificates.CertificateSigningRequestCondition{
			Type: certificates.CertificateFailed, Status: core.ConditionTrue, Reason: "SignerValidationFailure", Message: "usages did not match"})
	})
	key, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	_, err = sign(t.Context(), client, request{user: "amy", ttl: time.Hour}, key)
	var told *fault.Fault
	if !errors.As(err, &told) || !strings.Contains(err.Error(), "usages did not match") || left(t, client) > 0 {
		t.Errorf("got %v, %d left", err, left(t, client))
	}

	client = signer(t, func(*certificates.CertificateSigningRequest) {})
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, err := sign(ctx, client, request{user: "amy", ttl: time.Hour}, key); err == nil || left(t, client) > 0 {
		t.Errorf("interrupted: %v, %d left", err, left(t, client))
	}
}

func TestWhatNobodyGets(t *testing.T) {
	taken := filepath.Join(t.TempDir(), "taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := command.UserCreate{TTL: time.Hour}
	for name, c := range map[string]struct {
		user   string
		change func(*command.UserCreate)
		want   string
	}{
		"good":                 {"amy@example.com", func(*command.UserCreate) {}, ""},
		"masters":              {"amy", func(u *command.UserCreate) { u.Group = []string{"a", "system:masters"} }, "system:masters"},
		"a system's name":      {"system:admin", func(*command.UserCreate) {}, "Kubernetes' own"},
		"no name":              {"", func(*command.UserCreate) {}, "cannot be the name"},
		"too short":            {"amy", func(u *command.UserCreate) { u.TTL = time.Minute }, "10m"},
		"negative":             {"amy", func(u *command.UserCreate) { u.TTL = -time.Hour }, "10m"},
		"plain http":           {"amy", func(u *command.UserCreate) { u.Server = "http://k.example" }, "https://"},
		"a file that is there": {"amy", func(u *command.UserCreate) { u.Output = taken }, "already"},
	} {
		flags := good
		c.change(&flags)
		err := check(c.user, flags)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			continue
		}
		// Before a cluster is even looked for.
		if err := Create(t.Context(), command.Env{}, flags, []string{c.user}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrite(t *testing.T) {
	var out bytes.Buffer
	if err := write("", []byte("x"), &out); err != nil || out.String() != "x" {
		t.Errorf("%q, %v", &out, err)
	}
	path := filepath.Join(t.TempDir(), "amy")
	if err := write(path, []byte("x"), &out); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	var told *fault.Fault
	if err := write(filepath.Join(path, "below"), nil, &out); !errors.As(err, &told) {
		t.Errorf("got %v", err)
	}
}

func TestTell(t *testing.T) {
	cert := &x509.Certificate{NotAfter: time.Now().Add(24 * time.Hour)}
	var out bytes.Buffer
	if err := tell(&out, "amy", "https://127.0.0.1:6443", cert, command.UserCreate{TTL: 48 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"amy, in no group", "earlier than asked", "this machine only"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, &out)
		}
	}
}
