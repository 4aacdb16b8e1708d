package apicache

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	authentication "k8s.io/api/authentication/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tokens is the kind under which tokens are kept: no path of the API leads to it.
const tokens = "token"

// kept is a token of a pod.
type kept struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
	Pod     string    `json:"pod"` // UID
}

// asked is the body of a request for a token.
type asked struct{ text []byte }

func (a *asked) reader() io.Reader { return bytes.NewReader(a.text) }

// remembering reads the body of a request for a token, which goes to the server all the same. It gives nil for others.
func (k *Cache) remembering(q *query, r *http.Request) (*asked, error) {
	if q.kind() != "/serviceaccounts" || q.sub != "token" || q.method != http.MethodPost || r.Body == nil {
		return nil, nil
	}
	text, err := bodyOf(r)
	if err != nil {
		return nil, err
	}
	a := &asked{text}
	r.Body = io.NopCloser(a.reader())
	return a, nil
}

// tokenRef names what a request for a token asks for. Only tokens that end with their pod are kept.
func tokenRef(q query, body []byte) (at ref, pod string, request *authentication.TokenRequest, err error) {
	from, err := decode(body)
	if err != nil {
		return ref{}, "", nil, err
	}
	request, ok := from.(*authentication.TokenRequest)
	if !ok || request.Spec.BoundObjectRef == nil || request.Spec.BoundObjectRef.Kind != "Pod" {
		return ref{}, "", nil, errForm
	}
	pod = string(request.Spec.BoundObjectRef.UID)
	audiences := slices.Sorted(slices.Values(request.Spec.Audiences))
	text, err := json.Marshal([]any{q.user, q.name, pod, audiences})
	if err != nil {
		return ref{}, "", nil, err
	}
	sum := sha256.Sum256(text)
	return ref{Kind: tokens, Namespace: q.namespace, Name: hex.EncodeToString(sum[:])}, pod, request, nil
}

// recordToken keeps the token of an answer.
func (k *Cache) recordToken(q query, a *asked, answer *http.Response) {
	if a == nil || answer.StatusCode != http.StatusCreated {
		return
	}
	at, pod, _, err := tokenRef(q, a.text)
	if err != nil {
		return
	}
	zipped := answer.Header.Get("Content-Encoding") == "gzip"
	answer.Body = &collector{ReadCloser: answer.Body, done: func(text []byte) {
		if zipped {
			if text, err = unzip(text); err != nil {
				return
			}
		}
		if from, err := decode(text); err == nil {
			if given, ok := from.(*authentication.TokenRequest); ok {
				k.keep(at, kept{Token: given.Status.Token, Expires: expiry(given), Pod: pod})
			}
		}
	}}
}

// expiry is when a token ends. Those for the API server itself live longer than their request says.
func expiry(given *authentication.TokenRequest) time.Time {
	parts := strings.Split(given.Status.Token, ".")
	if len(parts) == 3 {
		var claims struct {
			Expires int64 `json:"exp"`
		}
		text, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil && json.Unmarshal(text, &claims) == nil && claims.Expires > 0 {
			return time.Unix(claims.Expires, 0)
		}
	}
	return given.Status.ExpirationTimestamp.Time
}

// keep puts a token among the objects.
func (k *Cache) keep(at ref, token kept) {
	text, err := json.Marshal(token)
	if err != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	o := object{APIVersion: "v1", Kind: "Token", form: jsonText, body: text, meta: head{Namespace: at.Namespace, Name: at.Name}}
	if v := k.open(query{path: tokens, resource: tokens}, "v1", "Token"); k.take(at, o, &v.short) {
		k.index.join(v, at)
	}
	k.changed()
}

// soonest is how long at least a token is said to be good that is given again, so that its holder asks again soon.
const soonest = 10 * time.Minute

// token gives the last token again, as long as it is good.
func (k *Cache) token(q query, r *http.Request, body []byte, since time.Time) *http.Response {
	at, _, request, err := tokenRef(q, body)
	if err != nil {
		return refuse(r, away(since, "tokens that are not a pod's own are not given meanwhile"))
	}
	k.mu.Lock()
	o, err := k.get(at)
	k.mu.Unlock()
	var token kept
	if err == nil {
		err = json.Unmarshal(o.body, &token)
	}
	now := time.Now()
	switch {
	case err != nil:
		return refuse(r, away(since, "this pod's token is not remembered"))
	case !now.Before(token.Expires):
		return refuse(r, away(since, fmt.Sprintf("this pod's token has expired at %s, and only a server can renew it", token.Expires.UTC().Format(time.RFC3339))))
	}
	ends := token.Expires
	if later := now.Add(soonest); later.Before(ends) {
		ends = later
	}
	request.Status = authentication.TokenRequestStatus{Token: token.Token, ExpirationTimestamp: meta.NewTime(ends)}
	f := jsonText
	if len(q.wants) > 0 {
		f = q.wants[0]
	}
	answer, err := encoded(f, "authentication.k8s.io/v1", "TokenRequest", request)
	if err != nil {
		return broken(r, err)
	}
	return give(r, q, http.StatusCreated, answer)
}
