package secrets

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/storage/value"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

func TestStages(t *testing.T) {
	k := firstKeys()
	first := k.writes()
	want := func(k keys, stage, writes string, count int) {
		t.Helper()
		if k.stage() != stage || k.writes() != writes || len(k.all) != count {
			t.Errorf("%q is %s and writes with %s", k.names(), k.stage(), k.writes())
		}
		text, err := k.encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decode(text); err != nil || !slices.Equal(again.names(), k.names()) || again.plain != k.plain || !slices.Equal(again.all, k.all) {
			t.Errorf("the file says %q, not %q: %v", again.names(), k.names(), err)
		}
	}
	want(k, wire.SecretsSteady, first, 1)
	k = k.withNew()
	second := k.all[1].name
	want(k, wire.SecretsReading, first, 2)
	want(k.promoted(), wire.SecretsWriting, second, 2)
	want(k.promoted().alone(), wire.SecretsSteady, second, 1)
	k.plain = true
	want(k, wire.SecretsSteady, wire.SecretsPlain, 2)
	if first == second || k.all[0].secret == k.all[1].secret {
		t.Error("the new key is the one before")
	}
}

func TestKeysThatTwoServersMadeAreAllKept(t *testing.T) {
	old := firstKeys()
	ours, theirs := old.withNew().promoted(), old.withNew()
	both := theirs.with(ours)
	if len(both.all) != 3 || both.stage() == wire.SecretsSteady || both.writes() != old.writes() {
		t.Errorf("%q and %q become %q", ours.names(), theirs.names(), both.names())
	}
	if ended := ours.alone().with(ours); len(ended.all) != 1 {
		t.Errorf("a rotation that has ended leaves %q", ended.names())
	}
	next := ours.alone().withNew().promoted()
	for name, of := range map[string][2]keys{
		"a server that was away for a rotation":       {ours.alone(), old},
		"one that was away for more":                  {next.alone(), old.withNew()},
		"one that was away, while a rotation goes on": {next, old},
	} {
		if now := of[0].with(of[1]); !slices.Equal(now.names(), of[0].names()) {
			t.Errorf("%s has %q, want %q", name, now.names(), of[0].names())
		}
	}
}

func TestWhatAValueIsUnder(t *testing.T) {
	for stored, want := range map[string]string{
		"":                                wire.SecretsPlain,
		"k8s\x00\n\f":                     wire.SecretsPlain,
		"k8s:enc:secretbox:v1:key1-ab:x:": "key1-ab",
		"k8s:enc:aescbc:v1:key1:x:y:z":    "k8s:enc:aescbc:v1:key1",
		"k8s:enc:":                        "k8s:enc:",
		"k8s:enc:secretbox:v1:":           "k8s:enc:secretbox:v1:",
		"k8s:enc:secretbox:v1:" + strings.Repeat("x", 1000): "k8s:enc:secretbox:v1:" + strings.Repeat("x", 179),
	} {
		if got := nameOf([]byte(stored)); got != want {
			t.Errorf("%q is under %q, want %q", stored, got, want)
		}
	}
}

// TestUpstreamReadsTheFile: the file and what is stored are kube-apiserver's own forms.
func TestUpstreamReadsTheFile(t *testing.T) {
	for _, plain := range []bool{false, true} {
		k := firstKeys().withNew()
		k.plain = plain
		text, err := k.encode()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := encryptionconfig.LoadEncryptionConfig(t.Context(), file, true, "x")
		if err != nil {
			t.Fatal(err)
		}
		theirs, where := loaded.Transformers[schema.GroupResource{Resource: "secrets"}], value.DefaultContext("/registry/secrets/a/b")
		if loaded.EncryptionFileContentHash == "" || theirs == nil {
			t.Fatal("upstream finds nothing for Secrets")
		}
		for from, to := range map[value.Transformer]value.Transformer{theirs: k.transformer(), k.transformer(): theirs} {
			stored, err := from.TransformToStorage(context.Background(), []byte("text"), where)
			if err != nil {
				t.Fatal(err)
			}
			read, stale, err := to.TransformFromStorage(context.Background(), stored, where)
			if err != nil || string(read) != "text" || stale || nameOf(stored) != k.writes() {
				t.Errorf("%q reads as %q, stale %t: %v", stored, read, stale, err)
			}
		}
	}
}

func TestFilesThatAreNotUnderstoodAreLeftAlone(t *testing.T) {
	good, err := firstKeys().encode()
	if err != nil {
		t.Fatal(err)
	}
	change := func(from, to string) string { return strings.Replace(string(good), from, to, 1) }
	for name, text := range map[string]string{
		"empty":             "",
		"cut off":           string(good[:len(good)/2]),
		"another kind":      change("EncryptionConfiguration", "Configuration"),
		"more resources":    change(`"secrets"`, `"secrets", "configmaps"`),
		"another provider":  change("secretbox", "aescbc"),
		"an unknown field":  change(`"resources"`, `"more": 1, "resources"`),
		"no identity":       change(`"identity"`, `"aesgcm"`),
		"a name with colon": change("key1-", "key:1-"),
		"a short secret":    change(`"secret": "`, `"secret": "YWJj", "x": "`),
	} {
		file := filepath.Join(t.TempDir(), "cred", "file")
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		_, err := Open(Config{File: file, Enabled: true})
		var told *fault.Fault
		if !errors.As(err, &told) || !strings.Contains(told.Cure(), "backup") {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := os.ReadFile(file); err != nil || string(now) != text {
			t.Errorf("%s: the file was changed: %v", name, err)
		}
	}
}

func TestTheFirstStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cred", "file")
	for _, enabled := range []bool{true, false, true} {
		s, err := Open(Config{File: file, Enabled: enabled})
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		k, err := decode(text)
		if err != nil || k.plain == enabled || len(k.all) != 1 || s.hash != hashOf(text) {
			t.Errorf("enabled %t: %v", enabled, err)
		}
		again, err := Open(Config{File: file, Enabled: enabled})
		if err != nil || again.keys.all[0] != s.keys.all[0] {
			t.Errorf("the next start has another key: %v", err)
		}
	}
	if err := os.Chmod(filepath.Dir(file), 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{File: filepath.Join(t.TempDir(), "file") + "\x00"}); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that cannot be: %v", err)
	}
}
