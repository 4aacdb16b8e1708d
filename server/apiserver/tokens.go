package apiserver

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"github.com/skerry-io/skerry/internal/wire"
)

// accountTokens say which tokens of ServiceAccounts this API server takes. It is none where the user has let others than roles decide who
// may do what: who asks elsewhere by roles alone would be told too much.
func accountTokens(ctx context.Context, o options.CompletedOptions, c *app.Config) (wire.AccountTokens, error) {
	if o.Authorization.AuthorizationConfigurationFile != "" || !slices.Equal(o.Authorization.Modes, []string{"Node", "RBAC"}) {
		return wire.AccountTokens{}, nil
	}
	control := c.KubeAPIs.ControlPlane
	told := wire.AccountTokens{Issuers: o.Authentication.ServiceAccounts.Issuers, Audiences: control.Generic.Authentication.APIAudiences}
	for _, key := range control.ServiceAccountPublicKeysGetter.GetPublicKeys(ctx, "") {
		public, err := x509.MarshalPKIXPublicKey(key.PublicKey)
		if err != nil {
			return wire.AccountTokens{}, fmt.Errorf("the public key %s of ServiceAccounts' tokens: %w", key.KeyID, err)
		}
		told.Keys = append(told.Keys, wire.TokenKey{ID: key.KeyID, Public: public})
	}
	return told, nil
}
