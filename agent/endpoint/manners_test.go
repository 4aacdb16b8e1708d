package endpoint

import (
	"context"
	"net/http"
	"testing"
)

func TestHowWatchesAreAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		caller, asked, onWire string
	}{
		"a watch":                {kubelet, "allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=400&watch=true", "resourceVersion=7&timeoutSeconds=4800&watch=true"},
		"a long watch":           {kubelet, "timeoutSeconds=86400&watch=1", "timeoutSeconds=7200&watch=1"},
		"a watch without a time": {kubelet, "watch=true", "watch=true"},
		"a list":                 {kubelet, "timeoutSeconds=400", "timeoutSeconds=400"},
		"one that begins with a list": {kubelet, "allowWatchBookmarks=true&sendInitialEvents=true&timeoutSeconds=400&watch=true",
			"allowWatchBookmarks=true&sendInitialEvents=true&timeoutSeconds=400&watch=true"},
		"a pod's watch": {"", "allowWatchBookmarks=true&timeoutSeconds=400&watch=true", "allowWatchBookmarks=true&timeoutSeconds=400&watch=true"},
	} {
		ctx := context.WithValue(t.Context(), callerKey{}, c.caller)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1:6444/api/v1/pods?"+c.asked, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if got := onWire(r); got.RawQuery != c.onWire || got.Path != "/api/v1/pods" {
			t.Errorf("%s: %s", name, got.RawQuery)
		}
		if r.URL.RawQuery != c.asked {
			t.Errorf("%s: the request itself was changed to %s", name, r.URL.RawQuery)
		}
	}
}
