package apiserver

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/emicklei/go-restful/v3"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// described is an API server of two group versions with one path each.
func described(t *testing.T) http.Handler {
	t.Helper()
	container, paths := restful.NewContainer(), mux.NewPathRecorderMux("test")
	for _, root := range []string{"/api/v1", "/apis/apps/v1"} {
		service := new(restful.WebService).Path(root).Produces("application/json")
		service.Route(service.GET("/things").Operation("list" + strings.ReplaceAll(root, "/", "")).To(func(*restful.Request, *restful.Response) {}))
		container.Add(service)
	}
	info := &spec.Info{InfoProps: spec.InfoProps{Title: "test", Version: "v1"}}
	none := func(common.ReferenceCallback) map[string]common.OpenAPIDefinition { return nil }
	describe(&genericapiserver.GenericAPIServer{Handler: &genericapiserver.APIServerHandler{GoRestfulContainer: container, NonGoRestfulMux: paths}},
		&genericapiserver.Config{
			FeatureGate:     utilfeature.DefaultFeatureGate,
			OpenAPIConfig:   &common.Config{Info: info, GetDefinitions: none},
			OpenAPIV3Config: &common.OpenAPIV3Config{Info: info, GetDefinitions: none},
		})
	return paths
}

func ask(h http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, http.NoBody)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	return answer
}

func TestDescriptionsOfGroupVersions(t *testing.T) {
	api := described(t)
	var list handler3.OpenAPIV3Discovery
	if err := json.Unmarshal(ask(api, "/openapi/v3").Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Paths) != 2 {
		t.Fatalf("described are %v", list.Paths)
	}
	address := list.Paths["apis/apps/v1"].ServerRelativeURL
	answer := ask(api, address)
	if !strings.Contains(answer.Body.String(), "/apis/apps/v1/things") || strings.Contains(answer.Body.String(), "/api/v1/things") {
		t.Errorf("%s is described as %s", address, answer.Body)
	}
	if answer.Header().Get("Cache-Control") != "public, immutable" {
		t.Errorf("not kept by clients: %v", answer.Header())
	}
	if again := ask(api, address, "If-None-Match", answer.Header().Get("Etag")); again.Code != http.StatusNotModified {
		t.Errorf("what is known is answered with %d", again.Code)
	}

	plain := ask(api, "/openapi/v3/apis/apps/v1")
	if plain.Code != http.StatusOK || plain.Header().Get("Cache-Control") != "" {
		t.Errorf("without a hash: %d, %v", plain.Code, plain.Header())
	}
	old := ask(api, "/openapi/v3/apis/apps/v1?hash=OLD")
	if to, _ := url.Parse(old.Header().Get("Location")); old.Code != http.StatusMovedPermanently || to.RequestURI() != address {
		t.Errorf("the hash of another version: %d, to %s", old.Code, to)
	}
	if none := ask(api, "/openapi/v3/apis/none/v1"); none.Code != http.StatusNotFound {
		t.Errorf("a group that does not exist: %d", none.Code)
	}
}

func TestDescriptionOfEverything(t *testing.T) {
	api := described(t)
	answer := ask(api, "/openapi/v2", "Accept", "application/json")
	for _, path := range []string{"/api/v1/things", "/apis/apps/v1/things"} {
		if !strings.Contains(answer.Body.String(), path) {
			t.Errorf("%s is missing in %s", path, answer.Body)
		}
	}
	tag := answer.Header().Get("Etag")
	if again := ask(api, "/openapi/v2", "If-None-Match", tag); again.Code != http.StatusNotModified {
		t.Errorf("what is known is answered with %d", again.Code)
	}
	if other := ask(described(t), "/openapi/v2").Header().Get("Etag"); tag == "" || other != tag {
		t.Errorf("the same API has the tags %q and %q", tag, other)
	}
	if bad := ask(api, "/openapi/v2", "Accept", "text/html"); bad.Code != http.StatusNotAcceptable {
		t.Errorf("as HTML: %d", bad.Code)
	}
}
