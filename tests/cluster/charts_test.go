package cluster_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"testing"
)

// packChart packs a folder of testdata as `helm package` does, with some texts replaced in all files.
func packChart(t *testing.T, name string, oldNew ...string) []byte {
	t.Helper()
	folder, replace := os.DirFS("testdata/"+name), strings.NewReplacer(oldNew...)
	files := map[string]string{}
	err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(folder, path)
		files[name+"/"+path] = replace.Replace(string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return packFiles(t, files)
}

// smallChart is a chart of one ConfigMap, named as the release.
func smallChart(t *testing.T, version string) []byte {
	t.Helper()
	return packFiles(t, map[string]string{
		"small/Chart.yaml":  fmt.Sprintf("apiVersion: v2\nname: small\nversion: %s\n", version),
		"small/values.yaml": "text: hello\n",
		"small/templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n" +
			"data: {text: {{ .Values.text | quote }}, version: {{ .Chart.Version | quote }}}\n",
	})
}

func packFiles(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zip)
	for name, text := range files {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// chartRepository serves some versions of the small chart from inside the host, and gives its address.
func (n *node) chartRepository(t *testing.T, address string, versions ...string) string {
	t.Helper()
	index := "apiVersion: v1\nentries:\n  small:\n"
	files := http.NewServeMux()
	for _, v := range versions {
		archive := smallChart(t, v)
		files.HandleFunc("/small-"+v+".tgz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(archive) })
		index += fmt.Sprintf("  - {name: small, version: %q, urls: [small-%s.tgz]}\n", v, v)
	}
	files.HandleFunc("/index.yaml", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(index)) })
	server := &http.Server{Handler: files}
	listener := n.host.Listen(address)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + address
}
