package apiserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"reflect"
	"testing"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/pkg/controlplane"
	controlplaneapiserver "k8s.io/kubernetes/pkg/controlplane/apiserver"
	"k8s.io/kubernetes/pkg/serviceaccount"

	"github.com/skerry-io/skerry/internal/wire"
)

func TestTokensAreVouchedForWhereRolesDecide(t *testing.T) {
	o, err := New(example(), authorities(t), nil).options(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := serviceaccount.StaticPublicKeysGetter([]any{key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	generic := &genericapiserver.Config{Authentication: genericapiserver.AuthenticationInfo{APIAudiences: []string{"us", "api"}}}
	config := &app.Config{KubeAPIs: &controlplane.Config{ControlPlane: controlplaneapiserver.Config{Generic: generic,
		Extra: controlplaneapiserver.Extra{ServiceAccountPublicKeysGetter: keys}}}}
	vouched := wire.AccountTokens{Keys: []wire.TokenKey{{ID: keys.GetPublicKeys(t.Context(), "")[0].KeyID, Public: public}},
		Issuers: []string{"https://kubernetes.default.svc.edge.local"}, Audiences: []string{"us", "api"}}
	roles := []string{"Node", "RBAC"}
	for name, c := range map[string]struct {
		modes []string
		file  string
		want  wire.AccountTokens
	}{
		"roles":         {roles, "", vouched},
		"a webhook too": {append(roles, "Webhook"), "", wire.AccountTokens{}},
		"nobody":        {[]string{"AlwaysAllow"}, "", wire.AccountTokens{}},
		"a file":        {roles, "authorization.yaml", wire.AccountTokens{}},
	} {
		o.Authorization.Modes, o.Authorization.AuthorizationConfigurationFile = c.modes, c.file
		if told, err := accountTokens(t.Context(), o, config); err != nil || !reflect.DeepEqual(told, c.want) {
			t.Errorf("%s: %+v, %v", name, told, err)
		}
	}
}
