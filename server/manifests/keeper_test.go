package manifests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// server is a Keeper that runs, its folder and its cluster.
type server struct {
	*Keeper
	t    *testing.T
	api  *cluster
	dir  string
	stop func()
}

func newServer(t *testing.T, api *cluster, dir, name string) *server {
	t.Helper()
	return &server{Keeper: New(Config{Dir: dir, Server: name, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}), t: t, api: api, dir: dir, stop: func() {}}
}

func (s *server) start() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	ended, clients := make(chan error, 1), s.api.clients(s.t)
	go func() { ended <- s.Run(ctx, clients, func() {}) }()
	stopped := false
	s.stop = func() {
		if cancel(); !stopped {
			stopped = true
			if err := <-ended; err != nil {
				s.t.Error(err)
			}
		}
	}
	s.t.Cleanup(s.stop)
}

// begin is a server that runs on a folder with these files.
func begin(t *testing.T, files ...string) *server {
	t.Helper()
	s := newServer(t, newCluster(t), filepath.Join(t.TempDir(), "manifests"), "one")
	for i := 0; i < len(files); i += 2 {
		s.write(files[i], files[i+1])
	}
	s.start()
	return s
}

func (s *server) write(name, text string) {
	s.t.Helper()
	file := filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) remove(name string) {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}

// soon wants something to come true in the two seconds that a change may take; tests run beside others.
func (s *server) soon(what string, check func() bool) {
	s.t.Helper()
	began := time.Now()
	for !check() {
		if time.Since(began) > 10*time.Second {
			s.t.Fatalf("not so: %s\nstate %+v\ncalls %q", what, s.State(), s.api.called(""))
		}
		time.Sleep(5 * time.Millisecond)
	}
	if took := time.Since(began); took > 2*time.Second {
		s.t.Logf("%s: only after %s", what, took)
	}
}

// is wants ConfigMaps of the namespace default, each name=value, or name= for none.
func (s *server) is(want ...string) {
	s.t.Helper()
	s.soon(strings.Join(want, " "), func() bool {
		for _, w := range want {
			if name, v, _ := strings.Cut(w, "="); s.api.data(name) != v {
				return false
			}
		}
		return true
	})
}

func (s *server) phase(file string, want Phase) State {
	s.t.Helper()
	var found State
	s.soon(file+" is "+string(want), func() bool {
		for _, state := range s.State() {
			if found = state; state.File == file {
				return state.Phase == want
			}
		}
		return false
	})
	return found
}

// settled waits until every file is at rest.
func (s *server) settled() {
	s.t.Helper()
	s.soon("all is settled", func() bool {
		for _, state := range s.State() {
			if state.Phase == Pending || state.Phase == Waiting || state.Phase == Removing {
				return false
			}
		}
		return len(s.State()) > 0
	})
}

// configMaps is a file of ConfigMaps, each name=value.
func configMaps(all ...string) string {
	var text strings.Builder
	for _, one := range all {
		name, v, _ := strings.Cut(one, "=")
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %q}\ndata: {v: %q}\n", name, v)
	}
	return text.String()
}

func TestTheClusterFollowsTheFolder(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.soon("the folder is made", func() bool { _, err := os.Stat(s.dir); return err == nil })
	s.write("a.yaml", configMaps("x=1", "y=1"))
	s.is("x=1", "y=1")
	s.write("sub/deep/b.json", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"z"},"data":{"v":"1"}}`)
	s.is("z=1")
	s.write("a.yaml", configMaps("x=2"))
	s.is("x=2", "y=", "z=1")
	if at := "/api/v1/namespaces/kube-system/configmaps/" + name("a.yaml", "one"); !s.api.has(at) {
		t.Errorf("there is no record %s", at)
	}
	s.api.change(configMap("x"), func(u *unstructured.Unstructured) {
		if u.GetLabels()[ownerLabel] != id("a.yaml") || u.GetAnnotations()[fileAnnotation] != "a.yaml" {
			t.Errorf("the object does not say whose it is: %v", u)
		}
	})
	s.remove("a.yaml")
	s.remove("sub")
	s.is("x=", "z=")
	s.soon("nothing is remembered", func() bool { return len(s.State()) == 0 && len(s.api.objects) == 2 })
}

func TestIdleCostsNothing(t *testing.T) {
	t.Parallel()
	s := begin(t, "a.yaml", configMaps("x=1"))
	s.phase("a.yaml", Applied)
	s.api.forget()
	s.write("notes.txt", "not a manifest")
	s.write("a.yaml.swp", "nor this")
	s.write(".b.yaml", "nor this")
	time.Sleep(3 * quiet)
	if calls := s.api.called(""); len(calls) > 0 {
		t.Errorf("got %q", calls)
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	crd := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: boats.sea}\nspec: {group: sea, names: {kind: Boat, plural: boats}}\n"
	boat := "apiVersion: sea/v1\nkind: Boat\nmetadata: {name: ark}\n"
	inside := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: in, namespace: later}\n"
	space := "apiVersion: v1\nkind: Namespace\nmetadata: {name: later}\n"
	const atArk, atIn = "/apis/sea/v1/boats/ark", "/api/v1/namespaces/later/configmaps/in"
	t.Run("in a file", func(t *testing.T) {
		s := begin(t, "a.yaml", boat+"---\n"+crd+"---\n"+inside+"---\n"+space)
		s.phase("a.yaml", Applied)
		if !s.api.has(atArk) || !s.api.has(atIn) {
			t.Error("something is missing")
		}
	})
	t.Run("between files", func(t *testing.T) {
		s := begin(t, "a.yaml", boat, "b.yaml", inside)
		if state := s.phase("a.yaml", Waiting); !errors.Is(state.Err, errUnknownKind) {
			t.Errorf("got %v", state.Err)
		}
		s.phase("b.yaml", Waiting)
		s.write("z.yaml", crd+"---\n"+space)
		s.soon("all is there", func() bool { return s.api.has(atArk) && s.api.has(atIn) })
		s.phase("a.yaml", Applied)
		if events := s.api.events(); len(events) > 0 {
			t.Errorf("what came in time was worth events: %v", events)
		}
	})
}

// TestBrokenFilesHarmNobody: each case is a folder of its own, with a file that breaks and one that does not. NAME is the
// case's own.
func TestBrokenFilesHarmNobody(t *testing.T) {
	t.Parallel()
	type file struct{ text, want string }
	cases := map[string]file{
		"not YAML":               {"a: [b\n", "line 1"},
		"not an object":          {"- a\n- b\n", "not an object of Kubernetes"},
		"no kind":                {"metadata: {name: NAME}\n", "kind is missing"},
		"no name":                {"apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: NAME}\n", "no metadata.name"},
		"a name that is no text": {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\n", "metadata.name is not text"},
		"a name that is a path":  {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ../NAME}\n", "ConfigMap ../NAME"},
		"a key twice":            {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {}\ndata: {}\n", "already set"},
		"labels of numbers":      {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, labels: {a: 1}}\n", "metadata.labels"},
		"one good one bad":       {configMaps("NAME=9") + "---\nkind: {{ .Values.kind }}\n", "line 7"},
		"empty":                  {"", "it is empty"},
		"zeros of a power cut":   {strings.Repeat("\x00", 4096), "it is empty"},
		"binary":                 {"\x7fELF\x02\x01\x01", "line 1"},
		"too large":              {"#" + strings.Repeat(" ", maxFile), "more than one file may have"},
		"refused by the API":     {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {wrong: much}\n", "ConfigMap default/NAME: data.wrong: Invalid value: much"},
		"an unknown field":       {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndta: {}\n", "ConfigMap default/NAME: failed to create typed patch object: .dta"},
		"the same object twice":  {configMaps("NAME=1", "NAME=2"), "line 2 of the file holds it already"},
		"a bomb of references":   {"a: &a [x,x,x,x,x,x,x,x,x]\n" + bomb(), "excessive aliasing"},
		"JSON that is cut short": {`{"apiVersion": "v1", "kind": "Conf`, "line 1"},
	}
	byName, good := map[string]file{}, []string{}
	for name, c := range cases {
		own := strings.ReplaceAll(strings.ToLower(name), " ", "-")
		byName[own] = file{strings.ReplaceAll(c.text, "NAME", own), strings.ReplaceAll(c.want, "NAME", own)}
		good = append(good, own+"/a.yaml", configMaps(own+"=1", own+"-more=1"))
	}
	s := begin(t, good...)
	for own := range byName {
		s.is(own+"=1", own+"-more=1")
	}
	for own, c := range byName {
		s.write(own+"/a.yaml", c.text)
		s.write(own+"/b.yaml", configMaps(own+"-other=1"))
	}
	for own, c := range byName {
		s.is(own + "-other=1")
		if state := s.phase(own+"/a.yaml", Failed); !strings.Contains(state.Err.Error(), c.want) {
			t.Errorf("%s: got %v", own, state.Err)
		}
	}
	s.soon("an Event for each", func() bool { return len(s.api.events()["ManifestFailed"]) == len(cases) })
	told := strings.Join(s.api.events()["ManifestFailed"], "\n")
	for own, c := range byName {
		s.is(own + "-more=1") // nothing is pruned
		if _, text, found := strings.Cut(told, own+"/a.yaml: "); !found || !strings.Contains(text, c.want) {
			t.Errorf("no event for %s in\n%s", own, told)
		}
		s.write(own+"/a.yaml", configMaps(own+"=3"))
	}
	for own := range byName {
		s.is(own+"=3", own+"-more=")
	}
	s.soon("the cures are told", func() bool { return len(s.api.events()["ManifestCured"]) == len(cases) })
}

func bomb() string {
	var text strings.Builder
	for c := 'b'; c < 'k'; c++ {
		fmt.Fprintf(&text, "%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	return text.String()
}

func TestUnknownKinds(t *testing.T) {
	t.Parallel()
	s := begin(t, "a.yaml", configMaps("x=1")+"---\napiVersion: sea/v1\nkind: Boat\nmetadata: {name: ark}\n",
		"b.yaml", "apiVersion: v1\nkind: Binding\nmetadata: {name: one}\n")
	s.is("x=1") // the rest of the file does not wait
	if state := s.phase("a.yaml", Waiting); !strings.Contains(state.Err.Error(), "line 7: Boat ark: the cluster does not know this kind: there is no sea/v1") {
		t.Errorf("got %v", state.Err)
	}
	s.phase("b.yaml", Waiting)
	s.soon("it is told after a while", func() bool { return len(s.api.events()["ManifestWaits"]) == 2 })
}

func TestWhatWentWhileTheServerWasDown(t *testing.T) {
	t.Parallel()
	s := begin(t, "a.yaml", configMaps("x=1", "y=1"), "b.yaml", configMaps("z=1"), "c.yaml", configMaps("w=1"))
	s.is("x=1", "y=1", "z=1", "w=1")
	s.settled()
	s.stop()
	s.remove("b.yaml")
	s.write("a.yaml", configMaps("x=2"))
	s.api.change(configMap("w"), func(u *unstructured.Unstructured) { _ = unstructured.SetNestedField(u.Object, "drifted", "data", "v") })
	s.start()
	s.is("x=2", "y=", "z=", "w=1")
}

// TestCrash: what a file was about to bring is pruned with it, also if it never was told that it came.
func TestCrash(t *testing.T) {
	t.Parallel()
	s := newServer(t, newCluster(t), filepath.Join(t.TempDir(), "manifests"), "one")
	s.write("a.yaml", configMaps("x=1", "y=1"))
	s.api.refuseWhen(func(method, path string) *meta.Status {
		if method == "PATCH" && path == configMap("y") {
			go s.stop()
			return status(503, meta.StatusReasonServiceUnavailable, "not now")
		}
		return nil
	})
	s.start()
	s.is("x=1")
	s.stop()
	s.api.refuseWhen(nil)
	s.remove("a.yaml")
	s.start()
	s.is("x=")
}

func TestTroubleIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t, newCluster(t), filepath.Join(t.TempDir(), "manifests"), "one")
	s.write("a.yaml", configMaps("x=1", "y=1"))
	s.api.refuseWhen(func(string, string) *meta.Status { return status(503, meta.StatusReasonServiceUnavailable, "not now") })
	s.start()
	s.soon("it was tried", func() bool { return len(s.State()) == 1 })
	s.api.refuseWhen(func(method, path string) *meta.Status {
		if method == "PATCH" && path == configMap("x") {
			return status(503, meta.StatusReasonServiceUnavailable, "not now")
		}
		return nil
	})
	s.phase("a.yaml", Waiting)
	if calls := s.api.called("PATCH " + configMap("y")); len(calls) > 0 {
		t.Errorf("the rest of the file was tried: %q", calls)
	}
	s.api.refuseWhen(nil)
	s.is("x=1", "y=1")
	s.api.refuseWhen(func(method, path string) *meta.Status {
		if method == "DELETE" && path == configMap("x") {
			return status(500, meta.StatusReasonInternalError, "a webhook is away")
		}
		return nil
	})
	s.remove("a.yaml")
	s.is("y=")
	if state := s.phase("a.yaml", Removing); !strings.Contains(state.Err.Error(), "remove ConfigMap default/x: a webhook is away") {
		t.Errorf("got %v", state.Err)
	}
	s.api.refuseWhen(nil)
	s.is("x=")
}
