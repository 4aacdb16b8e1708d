package datastore

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/skerry-io/skerry/internal/cli/command"
)

func TestRemove(t *testing.T) {
	var asked string
	status, answer := http.StatusNoContent, ""
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.String()
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer web.Close()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := api.NewConfig()
	config.Clusters["c"], config.Contexts["c"], config.CurrentContext = &api.Cluster{Server: web.URL}, &api.Context{Cluster: "c"}, "c"
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	remove := func() (string, error) {
		var out strings.Builder
		err := Remove(context.Background(), command.Env{Out: &out}, command.Access{Kubeconfig: file}, []string{"a&b"})
		return out.String(), err
	}
	if out, err := remove(); err != nil || asked != "DELETE /v1-skerry/members?name=a%26b" || !strings.Contains(out, "a&b is no member") {
		t.Errorf("asked %q, printed %q, %v", asked, out, err)
	}
	status, answer = http.StatusConflict, "remove the member a&b: there is none of this name; to cure: the members are c, d\n"
	if out, err := remove(); out != "" || err == nil || err.Error() !=
		"take the server a&b out of the datastore's cluster: remove the member a&b: there is none of this name; to cure: the members are c, d" {
		t.Errorf("printed %q, %v", out, err)
	}
}
