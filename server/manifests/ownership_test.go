package manifests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestSkip(t *testing.T) {
	t.Parallel()
	s := begin(t, "a.yaml", configMaps("x=1"), "b.yaml", configMaps("z=1"), "b.yaml.skip", "")
	s.is("x=1", "z=")
	s.phase("b.yaml", Skipped)
	s.remove("b.yaml.skip")
	s.is("z=1")
	s.phase("a.yaml", Applied)
	s.write("a.yaml.skip", "")
	s.phase("a.yaml", Skipped)
	s.write("a.yaml", configMaps("x=2", "v=1"))
	s.remove("b.yaml")
	s.is("z=", "x=1", "v=") // neither applied nor pruned
	s.remove("a.yaml")
	s.write("c.yaml", configMaps("w=1"))
	s.is("w=1", "x=1") // nor when the file goes
	s.remove("a.yaml.skip")
	s.is("x=")
}

func TestWhatOthersTookIsTheirs(t *testing.T) {
	t.Parallel()
	s := begin(t, "a.yaml", configMaps("x=1", "z=1"))
	s.phase("a.yaml", Applied)
	s.api.change(configMap("x"), func(u *unstructured.Unstructured) { u.SetLabels(nil) })
	s.remove("a.yaml")
	s.is("z=", "x=1")
	s.soon("the file is forgotten", func() bool { return len(s.State()) == 0 })
}

// TestAChangeInTheLastMoment: between the look at an object and its removal somebody takes it over.
func TestAChangeInTheLastMoment(t *testing.T) {
	t.Parallel()
	s := begin(t, "a.yaml", configMaps("x=1"))
	s.phase("a.yaml", Applied)
	s.api.refuseWhen(func(method, path string) *meta.Status {
		if u := s.api.objects[configMap("x")]; method == "DELETE" && path == configMap("x") {
			s.api.version++
			u.SetLabels(nil)
			u.SetResourceVersion(fmt.Sprint(s.api.version))
		}
		return nil
	})
	s.remove("a.yaml")
	s.soon("the file is forgotten", func() bool { return len(s.State()) == 0 })
	s.is("x=1")
}

func TestTwoFilesWithOneObject(t *testing.T) {
	t.Parallel()
	s := begin(t, "b.yaml", configMaps("x=b"))
	s.phase("b.yaml", Applied)
	s.write("a.yaml", configMaps("x=a", "other=a"))
	if state := s.phase("a.yaml", Failed); !strings.Contains(state.Err.Error(), "line 2: ConfigMap default/x: the file b.yaml holds it already") {
		t.Errorf("got %v", state.Err)
	}
	s.is("x=b", "other=a")
	s.stop()
	s.start()
	s.phase("b.yaml", Applied) // the first stays the first, whatever their names
	s.phase("a.yaml", Failed)
	s.is("x=b")
	s.api.forget()
	s.remove("b.yaml")
	s.is("x=a")
	s.phase("a.yaml", Applied)
	s.soon("b.yaml is forgotten", func() bool { return len(s.State()) == 1 })
	if calls := s.api.called("DELETE " + configMap("x")); len(calls) > 0 {
		t.Error("the object was deleted on its way to the other file")
	}
}

func TestAFileUnderAnotherName(t *testing.T) {
	t.Parallel()
	s := begin(t, "a.yaml", configMaps("x=1"))
	s.phase("a.yaml", Applied)
	s.api.forget()
	if err := os.Rename(filepath.Join(s.dir, "a.yaml"), filepath.Join(s.dir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	s.phase("b.yaml", Applied)
	s.soon("the old name is forgotten", func() bool { return len(s.State()) == 1 })
	if calls := s.api.called("DELETE " + configMap("x")); s.api.data("x") != "1" || len(calls) > 0 {
		t.Errorf("x is %q, calls %q", s.api.data("x"), calls)
	}
}

func TestEditorsRename(t *testing.T) {
	t.Parallel()
	s := begin(t, "a.yaml", configMaps("x=1"))
	s.phase("a.yaml", Applied)
	s.api.forget()
	for i := range 5 {
		if err := os.Rename(filepath.Join(s.dir, "a.yaml"), filepath.Join(s.dir, "a.yaml~")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond) // long enough to be seen without the file
		s.write("a.yaml", configMaps(fmt.Sprintf("x=%d", i)))
		s.is(fmt.Sprintf("x=%d", i))
	}
	if calls := s.api.called("DELETE"); len(calls) > 0 {
		t.Errorf("got %q", calls)
	}
}

func TestAHalfWrittenFile(t *testing.T) {
	t.Parallel()
	s := begin(t, "a.yaml", configMaps("x=1", "z=1"))
	s.phase("a.yaml", Applied)
	s.api.forget()
	out, err := os.Create(filepath.Join(s.dir, "a.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.WriteString(configMaps("x=2")); err != nil { // a good manifest, as far as it goes
		t.Fatal(err)
	}
	s.phase("a.yaml", Waiting)
	time.Sleep(time.Second)
	if calls := s.api.called("PATCH"); len(calls) > 0 {
		t.Errorf("got %q", calls)
	}
	if _, err := out.WriteString(configMaps("z=2")); err != nil {
		t.Fatal(err)
	}
	out.Close()
	s.is("x=2", "z=2")
	if calls := s.api.called("DELETE"); len(calls) > 0 {
		t.Errorf("got %q", calls)
	}
}

func TestAFolderThatIsNotThereIsNotAnEmptyOne(t *testing.T) {
	t.Parallel()
	s := begin(t, "a.yaml", configMaps("x=1"), "sub/b.yaml", configMaps("z=1"))
	s.phase("a.yaml", Applied)
	s.phase("sub/b.yaml", Applied)
	away := s.dir + ".away"
	check := func() {
		t.Helper()
		s.phase(".", Failed)
		time.Sleep(goneTime + 2*quiet)
		s.phase("a.yaml", Failed)
		s.is("x=1", "z=1")
	}
	if err := os.Rename(s.dir, away); err != nil {
		t.Fatal(err)
	}
	check()
	s.stop()
	s.start()
	check()
	if err := os.Rename(away, s.dir); err != nil {
		t.Fatal(err)
	}
	s.phase("a.yaml", Applied)
	s.phase("sub/b.yaml", Applied)
	s.remove("sub") // but a subfolder that is removed took its files along
	s.is("z=", "x=1")
}

func TestLinks(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	s := begin(t, "a.yaml", configMaps("x=1"))
	s.is("x=1")
	put := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(outside, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		_ = os.Remove(filepath.Join(s.dir, name))
		if err := os.Symlink(to, filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	put("b.yaml", configMaps("z=1"))
	put("other.txt", configMaps("w=1"))
	link(outside, "folder")
	link(filepath.Join(outside, "other.txt"), "w.yaml")
	link(s.dir, "loop")
	s.is("z=1", "w=1")
	put("b.yaml", configMaps("z=2"))
	put("other.txt", configMaps("w=2"))
	s.is("z=2", "w=2") // changes are seen where they happen
	link("nowhere", "w.yaml")
	s.phase("w.yaml", Failed)
	s.is("w=2") // a link that leads nowhere says nothing
	if len(s.State()) != 3 {
		t.Errorf("got %+v", s.State())
	}
	s.remove("folder")
	s.remove("w.yaml")
	s.is("z=", "w=")
}

func TestTwoServers(t *testing.T) {
	t.Parallel()
	one := begin(t, "a.yaml", configMaps("x=1"), "c.yaml", configMaps("z=1"))
	one.settled()
	two := newServer(t, one.api, filepath.Join(t.TempDir(), "manifests"), "two")
	two.write("a.yaml", configMaps("x=1"))
	two.write("b.yaml", configMaps("z=2"))
	two.start()
	two.phase("a.yaml", Applied) // the same file on both is the same manifest
	if state := two.phase("b.yaml", Failed); !strings.Contains(state.Err.Error(), "the file c.yaml of the server one holds it already") {
		t.Errorf("got %v", state.Err)
	}
	one.remove("a.yaml")
	one.remove("c.yaml")
	one.is("x=1", "z=") // the other holds it still
	one.soon("one has forgotten", func() bool { return len(one.State()) == 0 })
	two.remove("a.yaml")
	two.is("x=")
}

func TestNamespacesThatCannotGo(t *testing.T) {
	t.Parallel()
	s := begin(t, "a.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system, labels: {a: b}}\n")
	s.phase("a.yaml", Applied)
	s.remove("a.yaml")
	s.soon("the file is forgotten", func() bool { return len(s.State()) == 0 })
	s.api.change("/api/v1/namespaces/kube-system", func(u *unstructured.Unstructured) {
		if len(u.GetLabels()) > 0 {
			t.Errorf("labels stayed: %v", u.GetLabels())
		}
	})
}

func TestAnObjectThatIsBeingDeleted(t *testing.T) {
	t.Parallel()
	s := begin(t, "a.yaml", configMaps("x=1"))
	s.phase("a.yaml", Applied)
	s.api.change(configMap("x"), func(u *unstructured.Unstructured) { u.SetDeletionTimestamp(&meta.Time{Time: time.Now()}) })
	s.write("a.yaml", configMaps("x=2"))
	s.phase("a.yaml", Waiting)
	s.api.mu.Lock()
	delete(s.api.objects, configMap("x"))
	s.api.mu.Unlock()
	s.phase("a.yaml", Applied)
	s.is("x=2")
}

func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	s := newServer(t, newCluster(t), t.TempDir(), "one")
	s.api.refuseWhen(func(method, path string) *meta.Status {
		if method == "PATCH" {
			answer := status(422, meta.StatusReasonInvalid, "data: Invalid value: hunter2")
			answer.Details = &meta.StatusDetails{Causes: []meta.StatusCause{{Field: "data[password]", Message: "Invalid value: hunter2"}}}
			return answer
		}
		return nil
	})
	s.write("a.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {password: hunter2}\n")
	s.start()
	state := s.phase("a.yaml", Failed)
	if text := state.Err.Error(); strings.Contains(text, "hunter2") || !strings.Contains(text, "data[password]") {
		t.Errorf("got %q", text)
	}
}

// TestALargeManifest: five megabytes of objects are applied, and seen again as they are.
func TestALargeManifest(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	long := strings.Repeat("0123456789", 260)
	for i := range 2000 {
		text.WriteString(configMaps(fmt.Sprintf("x%d=%s", i, long)))
	}
	if text.Len() < 5<<20 {
		t.Fatal(text.Len())
	}
	s := begin(t, "a.yaml", text.String())
	if state := s.phase("a.yaml", Applied); state.Objects != 2000 {
		t.Errorf("got %d objects", state.Objects)
	}
	s.is("x0="+long, "x1999="+long)
	s.remove("a.yaml")
	s.is("x0=", "x1999=")
}
