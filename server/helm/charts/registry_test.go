package charts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// push puts a layer of a media type into a registry.
func push(t *testing.T, at, repository, tag, kind string, layer []byte) {
	t.Helper()
	digests := make([]string, 2)
	for i, blob := range [][]byte{layer, []byte("{}")} {
		sum := sha256.Sum256(blob)
		digests[i] = "sha256:" + hex.EncodeToString(sum[:])
		send(t, http.MethodPost, at+"/v2/"+repository+"/blobs/uploads/?digest="+digests[i], "", blob)
	}
	manifest := fmt.Sprintf(`{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": %q, "size": 2},
		"layers": [{"mediaType": %q, "digest": %q, "size": %d}]}`, digests[1], kind, digests[0], len(layer))
	send(t, http.MethodPut, at+"/v2/"+repository+"/manifests/"+tag, "application/vnd.oci.image.manifest.v1+json", []byte(manifest))
}

func send(t *testing.T, method, url, kind string, body []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", kind)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		text, _ := io.ReadAll(answer.Body)
		t.Fatalf("%s %s: %s %s", method, url, answer.Status, text)
	}
}

func TestRegistry(t *testing.T) {
	inside := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	open := serve(t, inside)
	for _, version := range []string{"1.0.0", "1.1.0+build", "2.0.0-rc.1"} {
		push(t, open, "charts/small", strings.ReplaceAll(version, "+", "_"), layerType, pack(t, version))
	}
	push(t, open, "charts/image", "1.0.0", "application/vnd.oci.image.layer.v1.tar+gzip", []byte("x"))
	host := strings.TrimPrefix(open, "http://")
	s := Source{Chart: "oci://" + host + "/charts/small", Access: Access{PlainHTTP: true}}
	for wanted, version := range map[string]string{"": "1.1.0+build", "1.0.0": "1.0.0", "1.1.0+build": "1.1.0+build", "~1.0.0": "1.0.0", "2.0.0-rc.1": "2.0.0-rc.1"} {
		s.Version = wanted
		gives(t, Fetcher{}, s, version)
	}
	gives(t, Fetcher{}, Source{Chart: s.Chart + ":1.0.0", Access: s.Access}, "1.0.0")
	gives(t, Fetcher{}, Source{Repo: "oci://" + host + "/charts/", Chart: "small", Version: "1.0.0", Access: s.Access}, "1.0.0")

	s.Version = "9.9.9"
	refuses(t, Fetcher{}, s, "there is no oci://"+host+"/charts/small:9.9.9")
	s.Version = "^9"
	refuses(t, Fetcher{}, s, "no version ^9")
	refuses(t, Fetcher{}, Source{Chart: "oci://" + host + "/charts/image", Version: "1.0.0", Access: s.Access}, "no Helm chart")
	refuses(t, Fetcher{}, Source{Chart: "oci://" + host + "/charts/Small", Version: "1.0.0", Access: s.Access}, "small letters")
	refuses(t, Fetcher{}, Source{Chart: "oci://127.0.0.1:1/charts/small", Version: "1.0.0", Access: s.Access}, "127.0.0.1:1")
}

func TestRegistryWithTLSAndLogin(t *testing.T) {
	inside := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	push(t, serve(t, inside), "small", "1.0.0", layerType, pack(t, "1.0.0"))
	at, ca := serveTLS(t, locked("me", "secret", inside))
	host := strings.TrimPrefix(at, "https://")
	s := Source{Chart: "oci://" + host + "/small", Version: "1.0.0"}
	refuses(t, Fetcher{}, s, "certificate", "spec.repoCA")
	s.CA = ca
	refuses(t, Fetcher{}, s, "credential not found", "spec.dockerRegistrySecret")
	s.Registries = map[string]Login{host: {"me", "secret"}}
	gives(t, Fetcher{}, s, "1.0.0")
	s.Registries, s.Username, s.Password = nil, "me", "secret"
	gives(t, Fetcher{}, s, "1.0.0")
}
