package backup

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/skerry-io/skerry/datastore/dump"
	"github.com/skerry-io/skerry/datastore/engine"
)

// secret writes a file that holds a secret.
func secret(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pair is an identity of a test: scrypt would take its time for each of the many files.
func pair(t *testing.T) (*Seal, *Key) {
	t.Helper()
	recipient, text, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	seal, err := NewSeal("", []string{recipient})
	if err != nil {
		t.Fatal(err)
	}
	key, err := NewKey("", secret(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return seal, key
}

func contents(keys int) Contents {
	return Contents{
		Manifest: Manifest{Made: time.Unix(1_800_000_000, 0).UTC(), Version: "1.2.3", Kubernetes: "v1.36.4", Cluster: "abcd", Server: "pi", Engine: "sqlite", Revision: 90_000},
		Files: []File{
			{Name: "server/token", Mode: 0o600, Data: []byte("secret\n")},
			{Name: "etc/config.yaml", Mode: 0o644, Data: nil},
		},
		Records: func(each func(engine.Record) error) error {
			for i := range keys {
				r := engine.Record{Revision: int64(i + 2), Created: 2, Version: int64(i + 1), Key: fmt.Sprintf("/registry/%08d", i), Value: bytes.Repeat([]byte{byte(i)}, 1000)}
				if i%100 == 7 {
					r.Lease, r.Expires = 60, 1_800_000_000_000
				}
				if err := each(r); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func written(t *testing.T, seal *Seal, c Contents) []byte {
	t.Helper()
	var file bytes.Buffer
	if _, err := Write(&file, seal, c); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	seal, key := pair(t)
	for _, count := range []int{0, 1, 5000} {
		c := contents(count)
		var file bytes.Buffer
		wrote, err := Write(&file, seal, c)
		if err != nil {
			t.Fatal(err)
		}
		var files []File
		var records []engine.Record
		m, s, err := Read(&file, key, Sink{
			File:   func(f File) error { files = append(files, f); return nil },
			Record: func(r engine.Record) error { records = append(records, r); return nil },
		})
		if err != nil {
			t.Fatalf("%d keys: %v", count, err)
		}
		c.Manifest.Format = Format
		if m != c.Manifest || s != wrote || s.Keys != int64(count) || s.Files != 2 {
			t.Errorf("got %+v and %+v, wrote %+v", m, s, wrote)
		}
		if fmt.Sprint(files) != fmt.Sprint(c.Files) {
			t.Errorf("got %v", files)
		}
		var want []engine.Record
		_ = c.Records(func(r engine.Record) error { want = append(want, r); return nil })
		if fmt.Sprint(records) != fmt.Sprint(want) {
			t.Errorf("%d records of %d are not the same", len(records), count)
		}
	}
}

// The file is what stock tools can open: age, zstd, tar.
func TestItIsATar(t *testing.T) {
	seal, key := pair(t)
	opened, err := age.Decrypt(bytes.NewReader(written(t, seal, contents(3000))), key.identities...)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := zstd.NewReader(opened)
	if err != nil {
		t.Fatal(err)
	}
	defer unpacked.Close()
	var names []string
	for r := tar.NewReader(unpacked); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
	const want = "manifest.json files/server/token files/etc/config.yaml keys/00000001 keys/00000002 keys/00000003 keys/00000004 summary.json"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("it holds %s", got)
	}
}

// Wherever it is cut off and whatever bit is wrong, it is refused, and nothing counts.
func TestHarmIsNoticed(t *testing.T) {
	seal, key := pair(t)
	good := written(t, seal, contents(300))
	if len(good) < 2000 {
		t.Fatal("it is too small for this test")
	}
	step := max(1, len(good)/400)
	refused := func(what string, file []byte) {
		t.Helper()
		if _, _, err := Read(bytes.NewReader(file), key, Sink{}); err == nil {
			t.Errorf("%s: it is taken", what)
		}
	}
	for at := 0; at < len(good); at += step {
		refused(fmt.Sprintf("cut at %d", at), good[:at])
		harmed := bytes.Clone(good)
		harmed[at] ^= 1 << (at % 8)
		refused(fmt.Sprintf("a bit of byte %d", at), harmed)
	}
	for _, n := range []int{1, 15, 16, 17} {
		refused(fmt.Sprintf("%d bytes less", n), good[:len(good)-n])
	}
	refused("a byte more", append(bytes.Clone(good), 0))
	refused("twice", append(bytes.Clone(good), good...))
	refused("nothing", nil)
	refused("something else", []byte("apiVersion: v1\nkind: Secret\n"))
}

// A backup of many frames that is cut between two of them.
func TestFramesAreCounted(t *testing.T) {
	seal, key := pair(t)
	c := contents(0)
	c.Records = func(each func(engine.Record) error) error {
		noise := make([]byte, 300<<10)
		for i := range noise { // that does not get smaller
			noise[i] = byte(i*i*7919>>3) ^ byte(i>>5)
		}
		for i := range 20 {
			if err := each(engine.Record{Revision: int64(i + 2), Created: 2, Version: 1, Key: fmt.Sprintf("/%d", i), Value: noise}); err != nil {
				return err
			}
		}
		return nil
	}
	good := written(t, seal, c)
	head := bytes.Index(good, []byte("\n--- "))
	start := head + 1 + bytes.IndexByte(good[head+1:], '\n') + 1 + 16
	const frame = 64<<10 + 16
	cuts := 0
	for at := start; at < len(good); at += frame {
		if _, _, err := Read(bytes.NewReader(good[:at]), key, Sink{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut after %d frames: %v", (at-start)/frame, err)
		}
		cuts++
	}
	t.Logf("%d frames", cuts)
}

func TestWhoCanOpen(t *testing.T) {
	phrase, other := secret(t, "correct horse battery\n"), secret(t, "wrong horse battery\n")
	recipient, text, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	_, foreign := pair(t)
	seal := func(file string, to ...string) []byte {
		s, err := NewSeal(file, to)
		if err != nil {
			t.Fatal(err)
		}
		return written(t, s, contents(3))
	}
	key := func(phrase, identity string) *Key {
		k, err := NewKey(phrase, identity)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	phrased, addressed := seal(phrase), seal("", recipient)
	for name, c := range map[string]struct {
		file []byte
		key  *Key
		want string
	}{
		"the passphrase":                 {phrased, key(phrase, ""), ""},
		"the identity":                   {addressed, key("", secret(t, text)), ""},
		"another passphrase":             {phrased, key(other, ""), "the passphrase does not open the backup"},
		"another identity":               {addressed, foreign, "another recipient"},
		"a passphrase for an identity's": {addressed, key(phrase, ""), "give --identity-file"},
		"an identity for a passphrase's": {phrased, foreign, "give --passphrase-file"},
	} {
		_, _, err := Read(bytes.NewReader(c.file), c.key, Sink{})
		if got := fmt.Sprint(err); (err == nil) != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecretsThatAreNone(t *testing.T) {
	for name, make := range map[string]func() error{
		"nothing to seal with": func() error { _, err := NewSeal("", nil); return err },
		"both":                 func() error { _, err := NewSeal(secret(t, "a long passphrase"), []string{"age1"}); return err },
		"no recipient":         func() error { _, err := NewSeal("", []string{"age1wrong"}); return err },
		"an empty file":        func() error { _, err := NewSeal(secret(t, "\n"), nil); return err },
		"a short passphrase":   func() error { _, err := NewSeal(secret(t, "short"), nil); return err },
		"two lines":            func() error { _, err := NewSeal(secret(t, "first line\nsecond line\n"), nil); return err },
		"no file":              func() error { _, err := NewKey(filepath.Join(t.TempDir(), "none"), ""); return err },
		"a directory":          func() error { _, err := NewKey(t.TempDir(), ""); return err },
		"nothing to open with": func() error { _, err := NewKey("", ""); return err },
		"no identity":          func() error { _, err := NewKey("", secret(t, "AGE-SECRET-KEY-1HIDDEN")); return err },
	} {
		if err := make(); err == nil || strings.Contains(err.Error(), "HIDDEN") || !strings.Contains(err.Error(), "to cure") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// sealed makes a file of entries that Write would not write.
func sealed(t *testing.T, seal *Seal, entries ...any) []byte {
	t.Helper()
	var file bytes.Buffer
	outer, err := age.Encrypt(&file, seal.recipients...)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := zstd.NewWriter(outer)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(packed)
	for i := 0; i < len(entries); i += 2 {
		data, raw := entries[i+1].([]byte)
		if !raw {
			if data, err = json.Marshal(entries[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: entries[i].(string), Size: int64(len(data))})
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), packed.Close(), outer.Close()); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// What somebody made who can seal, and what a later release would write.
func TestOtherContents(t *testing.T) {
	seal, key := pair(t)
	good := Manifest{Format: 1, Revision: 5, Version: "1.0.0"}
	later := Manifest{Format: 2, Revision: 5, Version: "9.9.9"}
	var records bytes.Buffer
	if err := dump.Write(&records, kind, engine.State{Revision: 4}, func(func(engine.Record) error) error { return nil }); err != nil {
		t.Fatal(err)
	}
	huge := append([]byte(kind+"\n"), 10, 0, 0, 2, 4, 4, 2, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 2)
	for name, c := range map[string]struct {
		want    string
		entries []any
	}{
		"a later form":         {"use skerry 9.9.9 or a later one", []any{manifestName, later}},
		"nothing":              {"ends too early", nil},
		"no manifest":          {"it begins with", []any{summaryName, Summary{}}},
		"a manifest of zeros":  {"damaged", []any{manifestName, Manifest{}}},
		"no JSON":              {"damaged", []any{manifestName, []byte("{")}},
		"two manifests":        {"it begins with", []any{manifestName, good, manifestName, good}},
		"no summary":           {"ends too early", []any{manifestName, good}},
		"more than it says":    {"says that it has", []any{manifestName, good, "files/server/token", []byte("x"), summaryName, Summary{}}},
		"behind the summary":   {"wrong place", []any{manifestName, good, summaryName, Summary{}, "files/server/token", []byte("x")}},
		"a name that leads up": {"the name", []any{manifestName, good, "files/server/../../x", []byte("x")}},
		"an absolute name":     {"the name", []any{manifestName, good, "files//etc/passwd", []byte("x")}},
		"an unknown entry":     {"it holds", []any{manifestName, good, "other", []byte("x")}},
		"a missing part":       {"stands where", []any{manifestName, good, "keys/00000002", records.Bytes()}},
		"another revision":     {"is of revision 4", []any{manifestName, good, "keys/00000001", records.Bytes()}},
		"a huge manifest":      {"has 2097152 bytes", []any{manifestName, make([]byte, 2<<20)}},
		"a huge length":        {"wrong length", []any{manifestName, good, "keys/00000001", huge}},
		"a huge file":          {"bytes", []any{manifestName, good, "files/server/token", make([]byte, 33<<20)}},
		"huge records":         {"bytes", []any{manifestName, good, "keys/00000001", make([]byte, 17<<20)}},
	} {
		_, _, err := Read(bytes.NewReader(sealed(t, seal, c.entries...)), key, Sink{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A backup whose making failed, and one that the disk or its taker stops.
func TestErrorsOfOthers(t *testing.T) {
	seal, key := pair(t)
	broken := errors.New("broken")
	c := contents(5)
	c.Records = func(func(engine.Record) error) error { return broken }
	var file bytes.Buffer
	if _, err := Write(&file, seal, c); !errors.Is(err, broken) {
		t.Errorf("records that fail: %v", err)
	}
	if _, _, err := Read(&file, key, Sink{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("what was written of it: %v", err)
	}
	good := written(t, seal, contents(5))
	if _, _, err := Read(bytes.NewReader(good), key, Sink{Record: func(engine.Record) error { return broken }}); !errors.Is(err, broken) || errors.Is(err, ErrDamaged) {
		t.Errorf("a taker that fails: %v", err)
	}
	if _, _, err := Read(io.MultiReader(bytes.NewReader(good[:100]), failing{broken}), key, Sink{}); !errors.Is(err, broken) || errors.Is(err, ErrDamaged) {
		t.Errorf("a disk that fails: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A file of something else is told as that, and nothing of it is shown.
func TestWhatIsNoBackup(t *testing.T) {
	_, key := pair(t)
	for text, want := range map[string]string{"": "it is empty", "root:x:0:0:": "it does not begin as one", "age-encryption.com": "it does not begin as one", strings.Repeat("\x00", 5000): "it does not begin as one"} {
		if _, _, err := Read(strings.NewReader(text), key, Sink{}); err == nil || !strings.Contains(err.Error(), "this is no backup: "+want) || !strings.Contains(err.Error(), "nothing was changed") || strings.Contains(err.Error(), "root") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}
