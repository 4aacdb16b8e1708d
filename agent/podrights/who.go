package podrights

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// User is a ServiceAccount that asks.
type User struct {
	Name      string // as Kubernetes calls it: system:serviceaccount:<namespace>:<name>
	Namespace string // of the ServiceAccount
	// Pod is the name of the pod that the token is bound to, in the same namespace, empty if it is to none. Whether there still is
	// this pod, with this UID, is for others to say.
	Pod, PodUID string
}

// Why a token does not count.
var (
	// ErrStranger is a token that no server of this cluster gave to a ServiceAccount, as far as the node knows.
	ErrStranger = errors.New("the token is not one of this cluster's ServiceAccounts")
	// ErrExpired is a token whose time is over.
	ErrExpired = errors.New("the token has expired")
	// ErrEarly is a token whose time has not come.
	ErrEarly = errors.New("the token is not good yet")
	// ErrAudience is a token that is meant for others than the API.
	ErrAudience = errors.New("the token is not for the API")
	// ErrUnknown is a token of which only a server can say whose it is.
	ErrUnknown = errors.New("only a server can say whose the token is")
)

const (
	// leeway is how long after its end a token is good: as long as Kubernetes takes it.
	leeway = time.Minute
	// behind is how much this machine's clock may be late: without a battery it starts from a time that was noted within the last hour.
	behind = time.Hour + leeway
)

// secretIssuer is the issuer of tokens that lie in Secrets. They have no end but that of their Secret, so servers tell which there are.
const secretIssuer = "kubernetes/serviceaccount"

// bound is what a token says of whom it is for.
type bound struct {
	Account struct {
		Namespace string `json:"namespace"`
		Account   object `json:"serviceaccount"`
		Pod       object `json:"pod"`
		Secret    object `json:"secret"`
		Node      object `json:"node"`
	} `json:"kubernetes.io"`
	// In tokens that lie in Secrets.
	Namespace string `json:"kubernetes.io/serviceaccount/namespace"`
	Name      string `json:"kubernetes.io/serviceaccount/service-account.name"`
	UID       string `json:"kubernetes.io/serviceaccount/service-account.uid"`
}

type object struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// Who says whose token this is. The error is one of those above.
func (r *Rights) Who(token string) (User, error) {
	known := r.said.Load()
	if known == nil || len(known.keys) == 0 {
		return User{}, fmt.Errorf("%w: none has said how to tell it", ErrUnknown)
	}
	public, private, err := known.verify(token)
	if err != nil {
		return User{}, err
	}
	if err := timely(public); err != nil {
		return User{}, err
	}
	if len(public.Audience) > 0 && !slices.ContainsFunc(known.audiences, public.Audience.Contains) {
		return User{}, ErrAudience
	}
	return known.user(token, public, private)
}

// verify reads a token of one of the API's issuers that one of the keys has signed. The issuer comes first, as Kubernetes has it: others have other keys.
func (s *said) verify(token string) (public jwt.Claims, private bound, err error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512})
	if err != nil || len(parsed.Headers) != 1 {
		return public, private, fmt.Errorf("%w: it cannot be read", ErrStranger)
	}
	if err := parsed.UnsafeClaimsWithoutVerification(&public); err != nil {
		return jwt.Claims{}, private, fmt.Errorf("%w: it cannot be read", ErrStranger)
	}
	if public.Issuer != secretIssuer && !slices.Contains(s.issuers, public.Issuer) {
		return jwt.Claims{}, private, fmt.Errorf("%w: its issuer is another", ErrUnknown)
	}
	id := parsed.Headers[0].KeyID
	for _, k := range s.keys {
		if id != "" && id != k.id {
			continue
		}
		var found bound
		public = jwt.Claims{}
		if parsed.Claims(k.public, &public, &found) == nil {
			return public, found, nil
		}
	}
	return jwt.Claims{}, bound{}, fmt.Errorf("%w: none of its keys has signed it", ErrStranger)
}

// timely wants a token whose time is now.
func timely(c jwt.Claims) error {
	now := time.Now()
	switch {
	case c.Issuer != secretIssuer && (c.Expiry == nil || len(c.Audience) == 0):
		return fmt.Errorf("%w: it has no end, or is for nobody", ErrStranger)
	case c.Expiry != nil && now.After(c.Expiry.Time().Add(leeway)):
		return ErrExpired
	case c.NotBefore != nil && now.Add(behind).Before(c.NotBefore.Time()):
		return ErrEarly
	}
	return nil
}

// user makes the user of what a token says. That its ServiceAccount is not known is an error only where the token is for no pod.
func (s *said) user(token string, public jwt.Claims, private bound) (User, error) {
	of := private.Account
	if public.Issuer == secretIssuer {
		of.Namespace, of.Account = private.Namespace, object{private.Name, private.UID}
		of.Pod, of.Secret, of.Node = object{}, object{}, object{}
	}
	u := User{
		Name:      serviceaccount.MakeUsername(of.Namespace, of.Account.Name),
		Namespace: of.Namespace,
		Pod:       of.Pod.Name,
		PodUID:    of.Pod.UID,
	}
	known, found := s.accounts[u.Name]
	switch {
	case of.Namespace == "" || of.Account.Name == "" || public.Subject != u.Name:
		return User{}, fmt.Errorf("%w: it names none", ErrStranger)
	case of.Secret != object{}, of.Pod == object{} && of.Node != object{}:
		return User{}, fmt.Errorf("%w: what it is bound to may be gone", ErrUnknown)
	case !found && u.Pod == "":
		return User{}, fmt.Errorf("%w: no pod of this node has its ServiceAccount", ErrUnknown)
	case found && known.uid != of.Account.UID:
		return User{}, fmt.Errorf("%w: its ServiceAccount was deleted", ErrStranger)
	case public.Issuer == secretIssuer && !slices.Contains(known.tokens, hash([]byte(token))):
		return User{}, fmt.Errorf("%w: it lies in no Secret any more", ErrStranger)
	}
	return u, nil
}
