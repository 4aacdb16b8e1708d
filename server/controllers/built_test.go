package controllers

import (
	"net/http"
	"testing"

	"k8s.io/client-go/rest"
)

func TestBuiltWhenTheSharedInformersListPods(t *testing.T) {
	for name, c := range map[string]struct {
		agent, path string
		want        bool
	}{
		"the informers list pods":           {"skerry/v1.36.4/shared-informers", "/api/v1/pods", true},
		"the informers ask for health":      {"skerry/v1.36.4/shared-informers", "/healthz", false},
		"another client lists pods":         {"skerry/v1.36.4/pod-garbage-collector", "/api/v1/pods", false},
		"the informers list something else": {"skerry/v1.36.4/shared-informers", "/api/v1/nodes", false},
	} {
		built := false
		config := &rest.Config{}
		whenBuilt(config, func() { built = true })
		answer := roundTripper(func(*http.Request) (*http.Response, error) { return &http.Response{Body: http.NoBody}, nil })
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1"+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("User-Agent", c.agent)
		response, err := config.WrapTransport(answer).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if built != c.want {
			t.Errorf("%s: built is %t", name, built)
		}
	}
}
