package cluster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const encryptionFile = "/var/lib/skerry/server/cred/encryption-config.json"

// TestSecrets: nobody finds the text of a Secret on the disk, its key changes while the cluster runs, and whatever the setting
// was before, every Secret stays readable.
func TestSecrets(t *testing.T) {
	n := newNode(t, nil)
	v := &vault{node: n, known: map[string]string{}}
	n.serve("--disable-agent", "--secrets-encryption=false")
	n.apiReady(t)
	v.put(t, "plain-before", "an older cluster")
	t.Run("without encryption they lie on the disk as they are", func(t *testing.T) {
		if !v.onDisk(t, "plain-before") {
			t.Error("the text is not found, so that it proves nothing when it is not found later")
		}
		if out, err := n.try(t, "secrets-encrypt", "rotate"); err == nil || !strings.Contains(err.Error(), "secrets-encryption: true") {
			t.Errorf("a rotation: %s, %v", out, err)
		}
	})
	n.stop(t)
	if err := os.Remove(n.host.Path(encryptionFile)); err != nil { // an earlier release's cluster has none
		t.Fatal(err)
	}
	n.serve("--disable-agent")
	n.apiReady(t)
	v.reads(t)
	v.put(t, "hidden", "by default")
	t.Run("by default they do not", func(t *testing.T) {
		if v.onDisk(t, "hidden") {
			t.Error("the text lies on the disk")
		}
	})
	t.Run("a rotation under load loses nothing", func(t *testing.T) { v.rotate(t) })
	t.Run("a rotation that was killed goes on without a hand, and what is plain is encrypted", func(t *testing.T) { v.rotateKilled(t) })
}

// vault is Secrets with what they should be.
type vault struct {
	*node
	mu    sync.Mutex // guards known
	known map[string]string
}

// text is what lies in a Secret, and nowhere else on the machine.
func (v *vault) text(name, what string) string { return "canary of " + name + ": " + what }

// put makes or changes a Secret, and remembers that it was acknowledged.
func (v *vault) put(t *testing.T, name, what string) {
	t.Helper()
	if err := v.try(t.Context(), name, what); err != nil {
		t.Fatal(err)
	}
}

func (v *vault) try(ctx context.Context, name, what string) error {
	text := v.text(name, what)
	secrets := v.api.CoreV1().Secrets(inDefault)
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"text": []byte(text)}}
	_, err := secrets.Create(ctx, s, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = secrets.Update(ctx, s, metav1.UpdateOptions{})
	}
	if err == nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.known[name] = text
	}
	return err
}

// reads wants every Secret to be as it was acknowledged last.
func (v *vault) reads(t *testing.T) {
	t.Helper()
	list, err := v.api.CoreV1().Secrets(inDefault).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, s := range list.Items {
		found[s.Name] = string(s.Data["text"])
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !maps.Equal(found, v.known) {
		t.Errorf("there are %d Secrets, and %d were acknowledged, or some differ", len(found), len(v.known))
	}
}

// onDisk looks for the text of a Secret in all that the datastore keeps, in snapshots too.
func (v *vault) onDisk(t *testing.T, name string) (found bool) {
	t.Helper()
	if err := filepath.WalkDir(v.host.Path(databaseDir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil && strings.HasSuffix(path, ".zst") {
			r, bad := zstd.NewReader(nil)
			if bad != nil {
				return bad
			}
			defer r.Close()
			content, err = r.DecodeAll(content, nil)
		}
		found = found || bytes.Contains(content, []byte(v.known[name]))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// encryption is what `secrets-encrypt status -o json` says.
type encryption struct {
	Well, Enabled bool
	Keys          []string
	Stage         string
	Stored        map[string]int
	Servers       []struct{ URL string }
}

func (v *vault) says(t *testing.T) (s encryption) {
	t.Helper()
	out, _ := v.node.try(t, "secrets-encrypt", "status", "-o", "json") // the exit code is in it
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return s
}

// write changes Secrets until the returned function is called.
func (v *vault) write(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	for hand := range 4 {
		writing.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := v.try(context.WithoutCancel(ctx), fmt.Sprintf("written-%d-%d", hand, i%25), fmt.Sprint(i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() {
		cancel()
		writing.Wait()
	}
}

func (v *vault) rotate(t *testing.T) {
	before := v.says(t)
	stop := v.write(t)
	out := v.skerry(t, "secrets-encrypt", "rotate")
	stop()
	v.reads(t)
	after := v.says(t)
	if !after.Well || !after.Enabled || len(after.Keys) != 1 || after.Keys[0] == before.Keys[0] || len(after.Stored) != 1 || after.Stored[after.Keys[0]] < 100 {
		t.Errorf("it was %+v and is %+v; the command said\n%s", before, after, out)
	}
	if file, err := v.host.Read(encryptionFile); err != nil || strings.Contains(string(file), before.Keys[0]) || !strings.Contains(string(file), after.Keys[0]) {
		t.Errorf("the former key %s is in the file: %v", before.Keys[0], err)
	}
	snapshots, _ := filepath.Glob(v.host.Path(databaseDir + "/snapshots/*.zst"))
	if len(snapshots) != 1 || v.onDisk(t, "hidden") {
		t.Errorf("there are the snapshots %q", snapshots)
	}
}

func (v *vault) rotateKilled(t *testing.T) {
	before := v.says(t)
	rotation := v.host.Start("skerry", "secrets-encrypt", "rotate")
	v.eventually(t, "the new key is in the file", func() error {
		if file, err := v.host.Read(encryptionFile); err != nil || strings.Count(string(file), `"name"`) < 2 {
			return fmt.Errorf("%s, %v", rotation.Output(), err)
		}
		return nil
	})
	v.proc.Kill()
	v.serve("--disable-agent", "--secrets-encryption=false") // and while it is away somebody changes his mind
	v.apiReady(t)
	v.reads(t)
	v.put(t, "open", "for a while")
	if !v.onDisk(t, "open") {
		t.Error("a Secret is encrypted although that is switched off")
	}
	v.stop(t)
	v.serve("--disable-agent")
	v.apiReady(t)
	v.reads(t)
	if between := v.says(t); between.Well || len(between.Keys) != 2 || between.Stored["plain"] == 0 {
		t.Errorf("in the middle: %+v", between)
	}
	v.eventually(t, "all are under the new key", func() error {
		if s := v.says(t); !s.Well || len(s.Keys) != 1 || s.Keys[0] == before.Keys[0] || len(s.Stored) != 1 {
			return fmt.Errorf("it was %+v and is %+v", before, s)
		}
		return nil
	})
	v.reads(t)
}

// TestSecretsOnSeveralServers: all servers change the key together, whichever is asked, and none is left behind.
func TestSecretsOnSeveralServers(t *testing.T) {
	s := newServers(t, 3, nil)
	s.serve("--cluster-init", "--disable-agent")
	s.apiReady(t)
	v := &vault{node: s.node, known: map[string]string{}}
	v.put(t, "first", "of one server")
	for _, n := range s.all[1:] {
		n.serve("--server", s.url(), "--token", s.token(t), "--disable-agent")
	}
	s.up(t, s.all...)
	agree := func(t *testing.T, not string) (key string) {
		t.Helper()
		v.reads(t)
		for _, n := range s.all {
			each := &vault{node: n, known: v.known}
			each.reads(t)
			says := each.says(t)
			if !says.Well || len(says.Keys) != 1 || says.Keys[0] == not || key != "" && says.Keys[0] != key || len(says.Servers) != 2 {
				t.Errorf("%s says %+v, and another one %s", n.host.Name(), says, key)
			}
			key = says.Keys[0]
		}
		return key
	}
	s.known(t)
	first := agree(t, "")
	stop := v.write(t)
	s.all[1].skerry(t, "secrets-encrypt", "rotate")
	stop()
	second := agree(t, first)

	last := s.all[2]
	kill(t, last)
	if out, err := s.try(t, "secrets-encrypt", "rotate"); err == nil || !strings.Contains(err.Error(), last.host.Address()) {
		t.Errorf("a rotation without a server: %s, %v", out, err)
	}
	if file, err := s.host.Read(encryptionFile); err != nil || strings.Count(string(file), `"name"`) != 1 || !strings.Contains(string(file), second) {
		t.Errorf("it was begun: %v", err)
	}
	last.serve("--disable-agent")
	last.apiReady(t)
	s.known(t)
	s.skerry(t, "secrets-encrypt", "rotate")
	agree(t, second)
}

// known waits until all servers know which keys the others have: each says so soon after its API is there.
func (s *servers) known(t *testing.T) {
	t.Helper()
	for _, n := range s.all {
		n.eventually(t, "it knows the others", func() error {
			says := (&vault{node: n}).says(t)
			if !says.Well || len(says.Servers) != len(s.all)-1 {
				return fmt.Errorf("it says %+v", says)
			}
			return nil
		})
	}
}
