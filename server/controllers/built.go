package controllers

import (
	"net/http"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
)

// informers ends the user agent of the client that all controllers share, and pods is what it asks for.
const (
	informers = "/shared-informers"
	pods      = "/api/v1/pods"
)

// whenBuilt has built called once all controllers are built. Upstream does not say so, but what it does next can be
// seen: it starts the informers that they share, and those list pods.
func whenBuilt(client *rest.Config, built func()) {
	once := sync.OnceFunc(built)
	client.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.UserAgent(), informers) && r.URL.Path == pods {
				once()
			}
			return next.RoundTrip(r)
		})
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
