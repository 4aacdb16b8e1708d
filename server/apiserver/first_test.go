package apiserver

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/server/pki"
)

func authorities(t *testing.T) *pki.PKI {
	t.Helper()
	names := pki.Names{DNS: []string{"kubernetes"}, IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	p, err := pki.Open(t.TempDir(), names, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// check wants what the first pod needs.
func check(t *testing.T, client *fake.Clientset, ca string) {
	t.Helper()
	ctx := t.Context()
	if _, err := client.CoreV1().Namespaces().Get(ctx, "default", meta.GetOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", meta.GetOptions{}); err != nil {
		t.Error(err)
	}
	config, err := client.CoreV1().ConfigMaps("default").Get(ctx, "kube-root-ca.crt", meta.GetOptions{})
	if err != nil || config.Data["ca.crt"] != ca {
		t.Errorf("the CA is %v, %v", config.Data, err)
	}
}

func TestTheFirstPodFindsWhatItNeeds(t *testing.T) {
	p := authorities(t)
	ca := string(certs.EncodeCert(p.ServerCA.Certificate))
	for name, prepare := range map[string]func(*fake.Clientset){
		"in a new cluster": func(*fake.Clientset) {},
		"when the API server refuses at first": func(c *fake.Clientset) {
			refusals := 5
			c.PrependReactor("create", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
				refusals--
				return refusals >= 0, nil, errors.New("namespace default was not found")
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset()
				prepare(client)
				for range 2 { // at a restart all of it is there
					if err := firstObjects(t.Context(), client, p.ServerCA.Certificate); err != nil {
						t.Fatal(err)
					}
				}
				check(t, client, ca)
			})
		})
	}
}

func TestWhatTheControllersMadeIsLeftAlone(t *testing.T) {
	kept := &core.ConfigMap{ObjectMeta: meta.ObjectMeta{Name: "kube-root-ca.crt", Namespace: "default"}, Data: map[string]string{"ca.crt": "theirs"}}
	client := fake.NewClientset(kept)
	if err := firstObjects(t.Context(), client, authorities(t).ServerCA.Certificate); err != nil {
		t.Fatal(err)
	}
	check(t, client, "theirs")
}

func TestFirstObjectsEndWithTheContext(t *testing.T) {
	ca := authorities(t).ServerCA.Certificate
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("create", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("no") })
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := firstObjects(ctx, client, ca); err == nil || !strings.Contains(err.Error(), "no") {
			t.Errorf("got %v", err)
		}
	})
}
