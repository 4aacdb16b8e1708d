package apiserver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emicklei/go-restful/v3"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/handler3"

	"github.com/skerry-io/skerry/internal/version"
)

const (
	openAPIv2 = "/openapi/v2"
	openAPIv3 = "/openapi/v3"
)

// openAPI describes the API of Kubernetes when somebody asks. Upstream makes all descriptions at the start and keeps them,
// 35 MB that hardly anybody ever asks for.
type openAPI struct {
	v2    *common.Config
	v3    *common.OpenAPIV3Config
	paths []string                       // of the group versions, sorted: "api/v1", "apis/apps/v1"
	by    map[string]*restful.WebService // path to what is served there
	tag   string                         // the same as long as the descriptions are the same
	one   sync.Mutex                     // one description is made at a time: it takes CPU and memory
}

// describe serves the descriptions of what is installed in s, which must have been told to SkipOpenAPIInstallation.
func describe(s *genericapiserver.GenericAPIServer, config *genericapiserver.Config) {
	o := &openAPI{v2: config.OpenAPIConfig, v3: config.OpenAPIV3Config, by: map[string]*restful.WebService{}}
	dependsOn := []string{version.Number(), version.Commit(), fmt.Sprint(config.FeatureGate)}
	for _, service := range s.Handler.GoRestfulContainer.RegisteredWebServices() {
		path := strings.TrimPrefix(service.RootPath(), "/")
		o.paths, o.by[path] = append(o.paths, path), service
		dependsOn = append(dependsOn, fmt.Sprint(path, " ", len(service.Routes())))
	}
	slices.Sort(o.paths)
	o.tag = digest(dependsOn)
	paths := s.Handler.NonGoRestfulMux
	paths.Handle(openAPIv2, http.HandlerFunc(o.serveV2))
	paths.Handle(openAPIv3, http.HandlerFunc(o.serveV3List))
	paths.HandlePrefix(openAPIv3+"/", http.HandlerFunc(o.serveV3))
}

func digest(words []string) string {
	slices.Sort(words)
	sum := sha256.Sum256([]byte(strings.Join(words, "\n")))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// serveV2 answers with the description of everything.
func (o *openAPI) serveV2(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("If-None-Match") == strconv.Quote(o.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	o.one.Lock()
	defer o.one.Unlock()
	services := make([]*restful.WebService, 0, len(o.paths))
	for _, path := range o.paths {
		services = append(services, o.by[path])
	}
	described, err := builder.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices(services), o.v2)
	if err != nil {
		http.Error(w, fmt.Sprintf("describe the API: %v", err), http.StatusInternalServerError)
		return
	}
	described.Definitions = handler.PruneDefaults(described.Definitions)
	answer := mux.NewPathRecorderMux("openapi-v2")
	handler.NewOpenAPIService(described).RegisterOpenAPIVersionedService(openAPIv2, answer)
	answer.ServeHTTP(&tagged{w, strconv.Quote(o.tag)}, r)
}

// tagged answers with another ETag than the handler's.
type tagged struct {
	http.ResponseWriter
	tag string
}

func (t *tagged) WriteHeader(status int) {
	if t.Header().Get("Etag") != "" {
		t.Header().Set("Etag", t.tag)
	}
	t.ResponseWriter.WriteHeader(status)
}

// serveV3List answers which descriptions there are.
func (o *openAPI) serveV3List(w http.ResponseWriter, r *http.Request) {
	list := handler3.OpenAPIV3Discovery{Paths: map[string]handler3.OpenAPIV3DiscoveryGroupVersion{}}
	for _, path := range o.paths {
		list.Paths[path] = handler3.OpenAPIV3DiscoveryGroupVersion{ServerRelativeURL: o.address(path)}
	}
	text, err := json.Marshal(list)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Etag", strconv.Quote(o.tag))
	_, _ = w.Write(text) // whoever asked has gone
}

func (o *openAPI) address(path string) string { return openAPIv3 + "/" + path + "?hash=" + o.tag }

// serveV3 answers with the description of one group version.
func (o *openAPI) serveV3(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, openAPIv3+"/")
	service := o.by[path]
	if service == nil {
		http.NotFound(w, r)
		return
	}
	query := r.URL.Query()
	if hash := query.Get("hash"); hash != "" && hash != o.tag {
		http.Redirect(w, r, o.address(path), http.StatusMovedPermanently)
		return
	} else if hash != "" { // as upstream: what is under this address never changes
		w.Header().Set("Cache-Control", "public, immutable")
		w.Header().Set("Expires", time.Now().AddDate(1, 0, 0).Format(time.RFC1123))
	}
	query.Del("hash") // upstream's would be another
	r = r.Clone(r.Context())
	r.URL.RawQuery = query.Encode()

	o.one.Lock()
	defer o.one.Unlock()
	answer := mux.NewPathRecorderMux("openapi-v3")
	routes.OpenAPI{V3Config: o.v3}.InstallV3(restful.NewContainer().Add(service), answer)
	answer.ServeHTTP(w, r)
}
