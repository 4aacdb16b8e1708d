package token

import (
	"errors"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

func TestAShortLivedTokenComesBackFromItsSecret(t *testing.T) {
	for name, b := range map[string]Bootstrap{
		"with all":      {ID: "abcdef", Secret: "0123456789abcdef", Description: "for the attic", Expires: time.Unix(2e9, 0).UTC(), Usable: true},
		"that is plain": {ID: "abcdef", Secret: "0123456789abcdef", Usable: true},
	} {
		object := b.Object()
		if again, err := ReadBootstrap(object); err != nil || again != b {
			t.Errorf("%s: got %+v, %v; want %+v", name, again, err, b)
		}
		if object.Namespace != "kube-system" || object.Name != "bootstrap-token-abcdef" || object.Type != "bootstrap.kubernetes.io/token" {
			t.Errorf("%s: it is the %s %s/%s", name, object.Type, object.Namespace, object.Name)
		}
	}
}

func TestCheckOfShortLivedTokens(t *testing.T) {
	const id, secret = "abcdef", "0123456789abcdef"
	hour := time.Now().Add(time.Hour)
	good := Bootstrap{ID: id, Secret: secret, Expires: hour}
	for name, c := range map[string]struct {
		change func(*core.Secret)
		given  string
		want   string // in the refusal; empty when it is taken
	}{
		"a good one":                       {func(*core.Secret) {}, id + "." + secret, ""},
		"without an end":                   {func(s *core.Secret) { delete(s.Data, "expiration") }, id + "." + secret, ""},
		"expired":                          {func(s *core.Secret) { s.Data["expiration"] = []byte("2026-01-02T03:04:05Z") }, id + "." + secret, "expired at 2026-01-02T03:04:05Z"},
		"expired, and the secret is wrong": {func(s *core.Secret) { s.Data["expiration"] = []byte("2026-01-02T03:04:05Z") }, id + ".0000000000000000", "no such"},
		"the secret is wrong":              {func(*core.Secret) {}, id + ".0000000000000000", "no such"},
		"unknown":                          {func(*core.Secret) {}, "zzzzzz." + secret, "no such"},
		"not for joining":                  {func(s *core.Secret) { delete(s.Data, "usage-bootstrap-authentication") }, id + "." + secret, "not meant for joining"},
		"of another type":                  {func(s *core.Secret) { s.Type = core.SecretTypeOpaque }, id + "." + secret, "no such"},
		"with another id inside":           {func(s *core.Secret) { s.Data["token-id"] = []byte("zzzzzz") }, id + "." + secret, "no such"},
		"with a date that is none":         {func(s *core.Secret) { s.Data["expiration"] = []byte("soon") }, id + "." + secret, "no such"},
	} {
		object := good.Object()
		c.change(object)
		store := mustOpen(t, at(t.TempDir()), authority(t))
		err := store.Check(t.Context(), fake.NewClientset(object), c.given)
		var told *fault.Fault
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (!errors.As(err, &told) || !strings.Contains(err.Error(), c.want) || told.Cure() == ""):
			t.Errorf("%s: got %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the refusal shows the secret", name)
		}
	}
}

func TestATokenMadeForTheCommandLineIsTaken(t *testing.T) {
	made := wire.NewBootstrap(strings.Repeat("0f", 32))
	id, secret, ok := made.Bootstrap()
	if !ok {
		t.Fatalf("%s has another form", made)
	}
	client := fake.NewClientset(Bootstrap{ID: id, Secret: secret}.Object())
	if err := mustOpen(t, at(t.TempDir()), authority(t)).Check(t.Context(), client, made.Secret); err != nil {
		t.Error(err)
	}
}

func TestAnAPIThatFailsIsNoRefusal(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("etcd is away") })
	err := mustOpen(t, at(t.TempDir()), authority(t)).Check(t.Context(), client, "abcdef.0123456789abcdef")
	var told *fault.Fault
	if err == nil || errors.As(err, &told) {
		t.Errorf("got %v", err)
	}
}
