package secrets

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/kubeconfig"
	"github.com/skerry-io/skerry/internal/wire"
)

// server answers like a Skerry server; the environment leads to it.
func server(t *testing.T, code int, says string) (env command.Env, out *bytes.Buffer, access command.Access) {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != wire.PathSecrets {
			t.Errorf("asked for %s", r.URL)
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte(says))
	}))
	t.Cleanup(web.Close)
	file := filepath.Join(t.TempDir(), "config")
	text := "apiVersion: v1\nkind: Config\nclusters: [{name: x, cluster: {server: " + web.URL + "}}]\ncontexts: [{name: x, context: {cluster: x}}]\ncurrent-context: x\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out = &bytes.Buffer{}
	return command.Env{Out: out, Err: out}, out, command.Access{Kubeconfig: file}
}

func TestStatus(t *testing.T) {
	for name, c := range map[string]struct {
		says string
		well bool
		want []string
	}{
		"well":             {`{"enabled":true,"provider":"secretbox","keys":["key1"],"stage":"steady","stored":{"key1":3}}`, true, []string{"yes, secretbox", "3 ", "AS WANTED", "yes"}},
		"none":             {`{"enabled":true,"provider":"secretbox","keys":["key1"],"stage":"steady"}`, true, []string{"0 "}},
		"older":            {`{"enabled":true,"provider":"secretbox","keys":["key1"],"stored":{"key1":3,"plain":2}}`, false, []string{"2 ", "plain", "not yet"}},
		"off":              {`{"enabled":false,"provider":"secretbox","keys":["key1"],"stored":{"plain":2}}`, true, []string{"encryption: no", "plain"}},
		"in the middle":    {`{"enabled":true,"provider":"secretbox","keys":["key2","key1"],"stage":"writing","work":"a rotation","stored":{"key1":1,"key2":1}}`, false, []string{"key2, key1", "a rotation"}},
		"trouble":          {`{"enabled":true,"provider":"secretbox","keys":["key1"],"stored":{"key1":3},"trouble":"no space"}`, false, []string{"no space"}},
		"another server":   {`{"enabled":true,"provider":"secretbox","keys":["key1"],"servers":[{"url":"https://a","same":true},{"url":"https://b"}]}`, false, []string{"the same", "https://b", "others"}},
		"one that is away": {`{"enabled":true,"provider":"secretbox","keys":["key1"],"servers":[{"url":"https://b","trouble":"refused"}]}`, false, []string{"refused"}},
		"the user's own":   {`{"enabled":false}`, true, []string{"of your own"}},
	} {
		for _, form := range []string{"text", "json"} {
			env, out, access := server(t, http.StatusOK, c.says)
			err := Status(t.Context(), env, command.SecretsStatus{Access: access, Output: form}, nil)
			var quiet command.Quiet
			if well := err == nil; well != c.well || !well && !errors.As(err, &quiet) {
				t.Errorf("%s: %v", name, err)
			}
			for _, want := range c.want {
				if form == "text" && !strings.Contains(out.String(), want) {
					t.Errorf("%s: %q is not in\n%s", name, want, out)
				}
			}
			if form == "json" && !strings.Contains(out.String(), `"well": `) {
				t.Errorf("%s: %s", name, out)
			}
		}
	}
}

func TestRotate(t *testing.T) {
	const first = `{"stage":"reading","key":"key2"}` + "\n" + `{"stage":"writing","key":"key2"}` + "\n" + `{"stage":"writing","rewritten":7}` + "\n"
	env, out, access := server(t, http.StatusOK, first+`{"done":true}`)
	if err := Rotate(t.Context(), env, access, nil); err != nil || strings.Count(out.String(), "\n") != 4 || !strings.Contains(out.String(), "7 Secrets") {
		t.Errorf("%s, %v", out, err)
	}
	for name, c := range map[string]struct {
		code       int
		says       string
		want, cure string
	}{
		"something is in the way": {http.StatusOK, first + `{"trouble":"a is away","cure":"start a"}`, "a is away", "start a"},
		"the server ends":         {http.StatusOK, first, "follow", "secrets-encrypt status"},
		"another user":            {http.StatusForbidden, "me may not call this", "may not", "administrator's kubeconfig"},
		"an older release":        {http.StatusNotFound, "404", "no Skerry server", "--kubeconfig"},
		"it starts":               {http.StatusServiceUnavailable, "the API server is starting", "starting", "log"},
	} {
		env, _, access := server(t, c.code, c.says)
		err := Rotate(t.Context(), env, access, nil)
		var told *fault.Fault
		if !errors.As(err, &told) || !strings.Contains(err.Error(), c.want) || !strings.Contains(told.Cure(), c.cure) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNobodyIsThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if err := (kubeconfig.File{Server: "http://127.0.0.1:1"}).Write(file, 0o600); err != nil {
		t.Skip(err)
	}
	var told *fault.Fault
	if err := Rotate(t.Context(), command.Env{}, command.Access{Kubeconfig: file}, nil); !errors.As(err, &told) || told.Cure() == "" {
		t.Errorf("got %v", err)
	}
}
