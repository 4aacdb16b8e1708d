package kubeconfig

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

// credentials writes the files a kubeconfig names.
func credentials(t *testing.T) File {
	t.Helper()
	dir := t.TempDir()
	f := File{Server: "https://127.0.0.1:6444", CAFile: filepath.Join(dir, "ca.crt"), CertFile: filepath.Join(dir, "user.crt"), KeyFile: filepath.Join(dir, "user.key")}
	for _, path := range []string{f.CAFile, f.CertFile, f.KeyFile} {
		if err := os.WriteFile(path, []byte("content of "+filepath.Base(path)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func TestAKubeconfigNamesTheFilesOrHoldsThem(t *testing.T) {
	for _, inline := range []bool{false, true} {
		f := credentials(t)
		f.Inline = inline
		path := filepath.Join(t.TempDir(), "dir", "kubeconfig")
		if err := f.Write(path, 0o640); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		if inline { // it must do without the files
			if err := os.RemoveAll(filepath.Dir(f.CAFile)); err != nil {
				t.Fatal(err)
			}
		}
		config, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			t.Fatal(err)
		}
		if config.Host != f.Server {
			t.Errorf("the server is %q", config.Host)
		}
		tls := config.TLSClientConfig
		if inline && (string(tls.CAData) != "content of ca.crt" || string(tls.CertData) != "content of user.crt" || string(tls.KeyData) != "content of user.key") {
			t.Errorf("the contents are wrong: %s, %s, %s", tls.CAData, tls.CertData, tls.KeyData)
		}
		if !inline && (tls.CAFile != f.CAFile || tls.CertFile != f.CertFile || tls.KeyFile != f.KeyFile) {
			t.Errorf("the names are wrong: %v", tls)
		}
	}
}

func TestAMissingFileIsNamedAndNothingIsWritten(t *testing.T) {
	for _, pick := range []func(File) string{func(f File) string { return f.CAFile }, func(f File) string { return f.KeyFile }} {
		f := credentials(t)
		f.Inline = true
		path := filepath.Join(t.TempDir(), "kubeconfig")
		if err := os.Remove(pick(f)); err != nil {
			t.Fatal(err)
		}
		if err := f.Write(path, 0o600); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), pick(f)) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a kubeconfig was written: %v", err)
		}
	}
}
