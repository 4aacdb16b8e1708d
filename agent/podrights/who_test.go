package podrights

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWhoseATokenIs(t *testing.T) {
	ours, older, unnamed := newRSA(t, "k1"), newECDSA(t, "k2"), newECDSA(t, "")
	inSecret, unnamedInSecret := ours.sign(t, inSecret()), signer{"", ours.key, ours.algorithm}.sign(t, inSecret())
	account := web()
	account.Tokens = []string{hash([]byte(unnamedInSecret)), hash([]byte(inSecret))}
	p := informed(t, []signer{ours, older, unnamed}, account)
	want := User{Name: "system:serviceaccount:a:web", Namespace: "a", Pod: "web-0", PodUID: "uid-of-pod"}
	free := want
	free.Pod, free.PodUID = "", ""
	unbound := claims()
	unbound["kubernetes.io"] = map[string]any{"namespace": "a", "serviceaccount": map[string]any{"name": "web", "uid": "uid-of-web"}}
	unknown := claims()
	unknown["sub"] = "system:serviceaccount:b:new"
	unknown["kubernetes.io"] = map[string]any{"namespace": "b", "serviceaccount": map[string]any{"name": "new", "uid": "x"}, "pod": map[string]any{"name": "p", "uid": "y"}}
	for name, c := range map[string]struct {
		token string
		want  User
	}{
		"in a pod":                           {ours.sign(t, claims()), want},
		"signed by an elliptic key":          {older.sign(t, claims()), want},
		"signed by a key without a name":     {unnamed.sign(t, claims()), want},
		"of an issuer of before":             {ours.sign(t, with(claims(), "iss", "https://former.example")), want},
		"for others, too":                    {ours.sign(t, with(claims(), "aud", []string{"vault", "skerry"})), want},
		"for one that is no list":            {ours.sign(t, with(claims(), "aud", "skerry")), want},
		"over just now":                      {ours.sign(t, with(claims(), "exp", time.Now().Add(-30*time.Second).Unix())), want},
		"of a clock that is half an hour on": {ours.sign(t, with(claims(), "nbf", time.Now().Add(30*time.Minute).Unix())), want},
		"for no pod":                         {ours.sign(t, unbound), free},
		"in a Secret":                        {inSecret, free},
		"in a Secret that names no key":      {unnamedInSecret, free},
		"of an account that is new here":     {ours.sign(t, unknown), User{Name: "system:serviceaccount:b:new", Namespace: "b", Pod: "p", PodUID: "y"}},
	} {
		if got, err := p.Who(c.token); err != nil || got != c.want {
			t.Errorf("a token %s: %+v, %v", name, got, err)
		}
	}
}

func TestTokensThatDoNotCount(t *testing.T) {
	ours := newRSA(t, "k1")
	p := informed(t, []signer{ours}, web())
	good := ours.sign(t, claims())
	parts := strings.Split(good, ".")
	cases := map[string]struct {
		token string
		want  error
	}{
		"nothing":                        {"", ErrStranger},
		"garbage":                        {"hunter2", ErrStranger},
		"three parts of garbage":         {"a.b.c", ErrStranger},
		"another key":                    {newRSA(t, "k1").sign(t, claims()), ErrStranger},
		"another key with its own name":  {newRSA(t, "k9").sign(t, claims()), ErrStranger},
		"our key by another's name":      {signer{"k9", ours.key, ours.algorithm}.sign(t, claims()), ErrStranger},
		"another kind of key":            {newECDSA(t, "k1").sign(t, claims()), ErrStranger},
		"no signature":                   {parts[0] + "." + parts[1] + ".", ErrStranger},
		"a signature of something else":  {parts[0] + "." + encode(t, with(claims(), "sub", "system:serviceaccount:a:admin")) + "." + parts[2], ErrStranger},
		"no algorithm":                   {encode(t, map[string]any{"alg": "none"}) + "." + parts[1] + ".", ErrStranger},
		"no algorithm, with a signature": {encode(t, map[string]any{"alg": "none", "kid": "k1"}) + "." + parts[1] + "." + parts[2], ErrStranger},
		"our public key as a secret":     {confused(t, ours), ErrStranger},
		"another issuer":                 {ours.sign(t, with(claims(), "iss", "https://other.example")), ErrUnknown},
		"another issuer's key":           {newRSA(t, "theirs").sign(t, with(claims(), "iss", "https://other.example")), ErrUnknown},
		"no issuer":                      {ours.sign(t, with(claims(), "iss", nil)), ErrUnknown},
		"another audience":               {ours.sign(t, with(claims(), "aud", []string{"vault"})), ErrAudience},
		"no audience":                    {ours.sign(t, with(claims(), "aud", nil)), ErrStranger},
		"a time that is over":            {ours.sign(t, with(claims(), "exp", time.Now().Add(-2*time.Minute).Unix())), ErrExpired},
		"no end":                         {ours.sign(t, with(claims(), "exp", nil)), ErrStranger},
		"a time that has not come":       {ours.sign(t, with(claims(), "nbf", time.Now().Add(2*time.Hour).Unix())), ErrEarly},
		"an end that is no number":       {ours.sign(t, with(claims(), "exp", "tomorrow")), ErrStranger},
		"a user of another name":         {ours.sign(t, with(claims(), "sub", "system:admin")), ErrStranger},
		"an account that was deleted":    {ours.sign(t, within(claims(), "serviceaccount", map[string]any{"name": "web", "uid": "uid-of-before"})), ErrStranger},
		"no account":                     {ours.sign(t, within(claims(), "serviceaccount", nil)), ErrStranger},
		"no namespace":                   {ours.sign(t, within(claims(), "namespace", nil)), ErrStranger},
		"a Secret it is bound to":        {ours.sign(t, within(claims(), "secret", map[string]any{"name": "s", "uid": "x"})), ErrUnknown},
		"a node it is bound to":          {ours.sign(t, within(claims(), "pod", nil)), ErrUnknown},
		"a Secret of an account that is unknown": {ours.sign(t, with(with(inSecret(), "sub", "system:serviceaccount:a:db"),
			"kubernetes.io/serviceaccount/service-account.name", "db")), ErrUnknown},
		"a Secret that is gone":       {ours.sign(t, inSecret()), ErrStranger},
		"a Secret of before":          {ours.sign(t, with(inSecret(), "kubernetes.io/serviceaccount/service-account.uid", "uid-of-before")), ErrStranger},
		"a Secret for another":        {ours.sign(t, with(inSecret(), "aud", "vault")), ErrAudience},
		"a Secret that is over":       {ours.sign(t, with(inSecret(), "exp", 1)), ErrExpired},
		"a Secret with a pod's claim": {ours.sign(t, with(with(inSecret(), "kubernetes.io", claims()["kubernetes.io"]), "kubernetes.io/serviceaccount/namespace", "b")), ErrStranger},
	}
	for name, c := range cases {
		got, err := p.Who(c.token)
		if !errors.Is(err, c.want) || got != (User{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if err != nil && len(c.token) > 8 && strings.Contains(err.Error(), c.token) {
			t.Errorf("%s: the error shows the token", name)
		}
	}
	for name, p := range map[string]*place{"no server has said anything": newPlace(t, filepath.Join(t.TempDir(), "none")), "servers said that none counts": informed(t, nil, web())} {
		if got, err := p.Who(good); !errors.Is(err, ErrUnknown) || got != (User{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// with gives a claim another value, or takes it away.
func with(c map[string]any, name string, value any) map[string]any {
	c = maps.Clone(c)
	if value == nil {
		delete(c, name)
	} else {
		c[name] = value
	}
	return c
}

// within does so with what Kubernetes says of itself.
func within(c map[string]any, name string, value any) map[string]any {
	of, _ := c["kubernetes.io"].(map[string]any)
	return with(c, "kubernetes.io", with(of, name, value))
}

func encode(t *testing.T, part any) string {
	t.Helper()
	text, err := json.Marshal(part)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// confused is a token signed with a public key, which everybody knows, as if it were a shared secret.
func confused(t *testing.T, by signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(by.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	text := encode(t, map[string]any{"alg": "HS256", "kid": by.id}) + "." + encode(t, claims())
	mac := hmac.New(sha256.New, der)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
