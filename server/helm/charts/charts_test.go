package charts

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pack is a chart of one version.
func pack(t *testing.T, version string) []byte {
	t.Helper()
	text := "apiVersion: v2\nname: small\nversion: " + version + "\n"
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zip)
	err := errors.Join(
		archive.WriteHeader(&tar.Header{Name: "small/Chart.yaml", Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}),
		func() error { _, err := archive.Write([]byte(text)); return err }(),
		archive.Close(), zip.Close())
	if err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

const indexText = `apiVersion: v1
entries:
  other:
  - {name: other, version: 9.0.0, urls: [other.tgz]}
  small:
  - apiVersion: v2
    name: small
    version: 1.0.0
    urls:
    - small-1.0.0.tgz
  - {name: small, version: 1.2.0, urls: [sub/small-1.2.0.tgz]}
  - {name: small, version: 2.0.0-rc.1, urls: [small-2.0.0-rc.1.tgz]}
  zebra:
  - {name: zebra, version: 3.0.0, urls: [zebra.tgz]}
generated: "2026-01-01T00:00:00Z"
`

// repository answers with the index, charts that say their own version, and with what index.yaml is when it is given.
func repository(t *testing.T, index string) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/r/index.yaml", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, index) })
	for path, version := range map[string]string{"small-1.0.0.tgz": "1.0.0", "sub/small-1.2.0.tgz": "1.2.0", "small-2.0.0-rc.1.tgz": "2.0.0-rc.1"} {
		packed := pack(t, version)
		mux.HandleFunc("/r/"+path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(packed) })
	}
	return mux
}

func locked(user, password string, inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, given := r.BasicAuth(); !given || u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="charts"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func serveTLS(t *testing.T, h http.Handler) (url string, ca []byte) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// gives wants the chart of this version.
func gives(t *testing.T, f Fetcher, s Source, version string) {
	t.Helper()
	got, err := f.Fetch(t.Context(), s)
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	if !bytes.Equal(got.Content, pack(t, version)) || got.From == "" {
		t.Errorf("it is another chart, from %q", got.From)
	}
}

// refuses wants an error that says all of this.
func refuses(t *testing.T, f Fetcher, s Source, words ...string) {
	t.Helper()
	_, err := f.Fetch(t.Context(), s)
	if err == nil {
		t.Error("there is no error")
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in: %v", w, err)
		}
	}
}

func TestStatic(t *testing.T) {
	folder := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside.tgz")
	for path, version := range map[string]string{"charts/a.tgz": "1.0.0", "b.tgz": "2.0.0"} {
		path = filepath.Join(folder, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, pack(t, version), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(outside, pack(t, "3.0.0"), 0o600), os.Symlink(outside, filepath.Join(folder, "link.tgz")),
		os.Mkdir(filepath.Join(folder, "dir.tgz"), 0o755)); err != nil {
		t.Fatal(err)
	}
	f := Fetcher{Static: folder}
	for chart, version := range map[string]string{"https://%{KUBERNETES_API}%/static/charts/a.tgz": "1.0.0", "charts/a.tgz": "1.0.0", "a.tgz": "1.0.0",
		"b.tgz": "2.0.0", folder + "/b.tgz": "2.0.0"} {
		gives(t, f, Source{Chart: chart}, version)
	}
	for chart, words := range map[string]string{"c.tgz": folder + "/charts/c.tgz", "../outside.tgz": "escapes", outside: "escapes", "link.tgz": "escapes",
		"dir.tgz": "it is no file", "https://%{KUBERNETES_API}%/static/../x.tgz": "escapes"} {
		refuses(t, f, Source{Chart: chart}, words, "below the static folder")
	}
	before := f.Stamp(Source{Chart: "b.tgz"})
	if err := os.WriteFile(filepath.Join(folder, "b.tgz"), pack(t, "2.1.0"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f.Stamp(Source{Chart: "b.tgz"}) == before {
		t.Error("another file has the same stamp")
	}
}

func TestContent(t *testing.T) {
	packed := base64.StdEncoding.EncodeToString(pack(t, "1.0.0"))
	gives(t, Fetcher{}, Source{Content: packed}, "1.0.0")
	gives(t, Fetcher{}, Source{Content: packed[:20] + "\n" + packed[20:] + "\n", Chart: "ignored"}, "1.0.0")
	refuses(t, Fetcher{}, Source{Content: "%%%"}, "spec.chartContent")
	refuses(t, Fetcher{}, Source{}, "names no chart")
	refuses(t, Fetcher{Static: "/s"}, Source{Chart: "stable/small"}, "no repository", "stable/small", "/s")
	refuses(t, Fetcher{}, Source{Chart: "small", Repo: "ftp://host"}, "ftp://host")
}

func TestRepository(t *testing.T) {
	at := serve(t, repository(t, indexText)) + "/r"
	f := Fetcher{}
	for wanted, version := range map[string]string{"": "1.2.0", "1.0.0": "1.0.0", "~1.0": "1.0.0", ">0": "1.2.0", "2.0.0-rc.1": "2.0.0-rc.1", ">=2.0.0-0": "2.0.0-rc.1"} {
		gives(t, f, Source{Repo: at, Chart: "small", Version: wanted}, version)
	}
	gives(t, f, Source{Repo: at + "/", Chart: "small"}, "1.2.0")
	gives(t, f, Source{Chart: at + "/small-1.0.0.tgz"}, "1.0.0")
	refuses(t, f, Source{Repo: at, Chart: "small", Version: "3.0.0"}, "no version 3.0.0", "1.0.0", at)
	refuses(t, f, Source{Repo: at, Chart: "small", Version: "x y"}, "x y")
	refuses(t, f, Source{Repo: at, Chart: "smal"}, `no chart "smal"`, at)
	refuses(t, f, Source{Repo: at + "/nothing", Chart: "small"}, "404", "/nothing/index.yaml")
	refuses(t, f, Source{Repo: at, Chart: "zebra"}, "404", "zebra.tgz")
	refuses(t, f, Source{Repo: serve(t, repository(t, "<html>{")) + "/r", Chart: "small"}, "no index of charts")
	gives(t, f, Source{Repo: serve(t, repository(t, `{"entries": {"small": [{"version": "1.0.0", "urls": ["small-1.0.0.tgz"]}]}}`)) + "/r", Chart: "small"}, "1.0.0")
	refuses(t, f, Source{Repo: "http://127.0.0.1:1", Chart: "small"}, "127.0.0.1:1", "connection refused")
}

func TestTLSAndLogin(t *testing.T) {
	at, ca := serveTLS(t, locked("me", "secret", repository(t, indexText)))
	s := Source{Repo: at + "/r", Chart: "small"}
	refuses(t, Fetcher{}, s, "certificate", "spec.repoCA")
	s.CA = ca
	refuses(t, Fetcher{}, s, "401", "spec.authSecret")
	s.Username, s.Password = "me", "wrong"
	refuses(t, Fetcher{}, s, "401")
	s.Password = "secret"
	gives(t, Fetcher{}, s, "1.2.0")
	s.CA, s.Insecure = nil, true
	gives(t, Fetcher{}, s, "1.2.0")
	s.CA, s.Insecure = []byte("rubbish"), false
	refuses(t, Fetcher{}, s, "no certificate")
}

// TestLoginStays: credentials go to the repository's own host only, unless they may go everywhere.
func TestLoginStays(t *testing.T) {
	elsewhere := serve(t, locked("me", "secret", repository(t, "")))
	index := fmt.Sprintf(`{"entries": {"small": [{"version": "1.0.0", "urls": ["%s/r/small-1.0.0.tgz"]}]}}`, elsewhere)
	s := Source{Repo: serve(t, locked("me", "secret", repository(t, index))) + "/r", Chart: "small", Access: Access{Username: "me", Password: "secret"}}
	refuses(t, Fetcher{}, s, "401", elsewhere)
	s.Everywhere = true
	gives(t, Fetcher{}, s, "1.0.0")
}

func TestLimitsAndEnd(t *testing.T) {
	endless := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 1<<20)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	refuses(t, Fetcher{}, Source{Chart: endless + "/big.tgz", Repo: "http://x"}, "more than 32 MB")

	silent := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := (Fetcher{}).Fetch(ctx, Source{Repo: silent, Chart: "small"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it ends with %v", err)
	}
}

// TestLongIndex: what is not about the chart is not parsed.
func TestLongIndex(t *testing.T) {
	text := "apiVersion: v1\nentries:\n" + strings.Repeat("  broken: [\n", 1000) + "  small:\n  - version: 1.0.0\n    urls: [a]\n\n  more: {\n"
	found, err := Source{Chart: "small"}.pick([]byte(text), "here")
	if err != nil || found.Version != "1.0.0" {
		t.Errorf("got %+v, %v", found, err)
	}
}
