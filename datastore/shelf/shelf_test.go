package shelf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const cluster = "0123456789abcdef0123"

func day(n int) time.Time { return time.Date(2026, 1, n, 3, 0, 0, 0, time.UTC) }

func filled(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

// shelves are one of each kind, empty.
func shelves(t *testing.T) map[string]Shelf {
	t.Helper()
	_, c := newStorage(t)
	all := map[string]Shelf{}
	for _, place := range []string{t.TempDir() + "/new/", Scheme + "homelab", Scheme + "homelab/some/folder/"} {
		s, name, err := At(place, c, t.TempDir())
		if err != nil || name != "" {
			t.Fatalf("%s: %q, %v", place, name, err)
		}
		all[place] = s
	}
	return all
}

func TestEveryShelf(t *testing.T) {
	for place, s := range shelves(t) {
		if all, err := s.List(t.Context()); err != nil || len(all) > 0 {
			t.Errorf("%s: empty, it lists %v, %v", place, all, err)
		}
		old, young := Name(cluster, day(1), false), Name(cluster, day(2), true)
		for _, name := range []string{young, old, "notes.txt"} {
			if size, err := s.Put(t.Context(), name, filled("of "+name)); err != nil || size != int64(len(name)+3) {
				t.Fatalf("%s: %d, %v", place, size, err)
			}
		}
		all, err := s.List(t.Context())
		want := []Item{{young, cluster[:part], day(2), true, int64(len(young) + 3)}, {old, cluster[:part], day(1), false, int64(len(old) + 3)}}
		if err != nil || !slices.Equal(all, want) {
			t.Errorf("%s: it lists %v, %v", place, all, err)
		}
		from, size, err := s.Open(t.Context(), old)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(from)
		if err = errors.Join(err, from.Close()); err != nil || string(text) != "of "+old || size != int64(len(text)) {
			t.Errorf("%s: read %q of %d, %v", place, text, size, err)
		}
		if err := errors.Join(s.Remove(t.Context(), old), s.Remove(t.Context(), old)); err != nil {
			t.Errorf("%s: %v", place, err)
		}
		if _, _, err := s.Open(t.Context(), old); err == nil || !strings.Contains(err.Error(), "backup list") {
			t.Errorf("%s: one that is gone: %v", place, err)
		}
		broken := errors.New("broken")
		if _, err := s.Put(t.Context(), old, func(w io.Writer) error { _, _ = w.Write([]byte("half")); return broken }); !errors.Is(err, broken) {
			t.Errorf("%s: one that is not made: %v", place, err)
		}
		if all, err := s.List(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("%s: half a backup is there: %v, %v", place, all, err)
		}
	}
}

// A large one goes over a file and in parts, and memory stays what it is.
func TestALargeBackup(t *testing.T) {
	fake, c := newStorage(t)
	dir := t.TempDir()
	s, _, err := At(Scheme+"homelab/large", c, dir)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 20<<20)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	if _, err := s.Put(t.Context(), Name(cluster, day(1), true), func(w io.Writer) error { _, err := io.Copy(w, bytes.NewReader(data)); return err }); err != nil {
		t.Fatal(err)
	}
	fake.set(func(f *storage) {
		if !bytes.Equal(f.objects["large/"+Name(cluster, day(1), true)], data) {
			t.Error("another one arrived")
		}
	})
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("there is %v left, %v", left, err)
	}
}

func TestStorageThatSaysNo(t *testing.T) {
	for name, c := range map[string]struct {
		place string
		set   func(*storage)
		tune  func(*Storage)
		want  string
	}{
		"no bucket":       {place: "other/folder", want: "make the bucket other"},
		"no right":        {set: func(s *storage) { s.refuse = "AccessDenied" }, want: "let these credentials list"},
		"unknown key":     {set: func(s *storage) { s.refuse = "InvalidAccessKeyId" }, want: "correct the access key"},
		"wrong secret":    {set: func(s *storage) { s.refuse = "SignatureDoesNotMatch" }, want: "correct the access key"},
		"wrong clock":     {set: func(s *storage) { s.refuse = "RequestTimeTooSkewed" }, want: "correct the clock"},
		"slow":            {set: func(s *storage) { s.slow = 2 * time.Second }, tune: func(c *Storage) { c.Timeout = 300 * time.Millisecond }, want: "raise backup-s3-timeout"},
		"it loses a byte": {set: func(s *storage) { s.lose = true }, want: "bytes there"},
		"not there":       {tune: func(c *Storage) { c.Endpoint, c.Timeout = "127.0.0.1:1", 2*time.Second }, want: "to cure"},
	} {
		t.Run(name, func(t *testing.T) {
			fake, config := newStorage(t)
			if c.set != nil {
				fake.set(c.set)
			}
			if c.tune != nil {
				c.tune(&config)
			}
			if c.place == "" {
				c.place = "homelab/folder"
			}
			s, _, err := At(Scheme+c.place, config, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Put(t.Context(), Name(cluster, day(1), true), filled("x"))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "very-secret-key") {
				t.Errorf("put: %v", err)
			}
			if name == "it loses a byte" {
				return
			}
			if _, err := s.List(t.Context()); err == nil || strings.Contains(err.Error(), "very-secret-key") {
				t.Errorf("list: %v", err)
			}
		})
	}
}

func TestStorageThatCannotBe(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.pem")
	if err := os.WriteFile(bad, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := Storage{Endpoint: "s3.example.com", AccessKey: "a", SecretKey: "b"}
	for name, c := range map[string]struct {
		place string
		with  func(*Storage)
	}{
		"no bucket":      {place: Scheme},
		"no place":       {place: ""},
		"no credentials": {place: "s3://b/f", with: func(s *Storage) { s.SecretKey = "" }},
		"a URL":          {place: "s3://b/f", with: func(s *Storage) { s.Endpoint = "https://s3.example.com/x" }},
		"no authority":   {place: "s3://b/f", with: func(s *Storage) { s.CAFile = "/nowhere" }},
		"a bad one":      {place: "s3://b/f", with: func(s *Storage) { s.CAFile = bad }},
	} {
		config := good
		if c.with != nil {
			c.with(&config)
		}
		if _, _, err := At(c.place, config, ""); err == nil || !strings.Contains(err.Error(), "to cure") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	for place, want := range map[string]string{
		dir:                               dir + "|",
		dir + "/new/":                     dir + "/new|",
		dir + "/x.backup":                 dir + "|x.backup",
		"s3://b":                          "s3://b|",
		"s3://b/a/c/":                     "s3://b/a/c|",
		"s3://b/a/c/skerry-1-2.backup":    "s3://b/a/c|skerry-1-2.backup",
		"s3://b/skerry-0123-later.backup": "s3://b|skerry-0123-later.backup",
	} {
		s, name, err := At(place, Storage{Endpoint: "s3.example.com", AccessKey: "a", SecretKey: "b"}, "")
		if err != nil || s.String()+"|"+name != want {
			t.Errorf("%s: %v, %q, %v", place, s, name, err)
		}
	}
}

func TestRetention(t *testing.T) {
	item := func(n int, cluster string, scheduled bool) Item {
		i, ours := parse(Name(cluster, day(n), scheduled), 1)
		if !ours {
			t.Fatal("a name that is none")
		}
		return i
	}
	var all []Item
	for n := 1; n <= 8; n++ {
		all = append(all, item(n, cluster, true))
	}
	all = append(all, item(1, cluster, false), item(1, "ffffffffffffffff", true))
	for name, c := range map[string]struct {
		keep int
		made int
		want []int
	}{
		"three stay":             {3, 8, []int{5, 4, 3, 2, 1}},
		"all stay":               {8, 8, nil},
		"one stays":              {1, 8, []int{7, 6, 5, 4, 3, 2, 1}},
		"none is no number":      {0, 8, []int{7, 6, 5, 4, 3, 2, 1}},
		"the clock was set back": {3, 2, []int{6, 5, 4, 3, 1}},
		"and only the newest":    {1, 2, []int{8, 7, 6, 5, 4, 3, 1}},
	} {
		var got []int
		for _, gone := range Excess(all, cluster, c.keep, Name(cluster, day(c.made), true)) {
			if !gone.Scheduled || gone.Cluster != cluster[:part] {
				t.Errorf("%s: %s goes", name, gone.Name)
			}
			got = append(got, gone.Made.Day())
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v go", name, got)
		}
	}
}

func TestACancelledPutEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for place, s := range shelves(t) {
		if _, err := s.Put(ctx, Name(cluster, day(1), true), filled("x")); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", place, err)
		}
	}
}

// What keeps a backup from being written is told with a cure when it is the place, and as it is when it is the backup.
func TestADirectoryThatTakesNothing(t *testing.T) {
	d := Directory(t.TempDir())
	if _, err := d.Put(t.Context(), strings.Repeat("x", 300), filled("text")); err == nil || !strings.Contains(err.Error(), "write the backup to "+d.String()) || !strings.Contains(err.Error(), "has room") {
		t.Errorf("a name that is too long: %v", err)
	}
	own := errors.New("the cluster lacks something")
	if _, err := d.Put(t.Context(), "x", func(io.Writer) error { return own }); !errors.Is(err, own) || strings.Contains(err.Error(), "to cure") {
		t.Errorf("the backup's own trouble: %v", err)
	}
	if left, err := os.ReadDir(d.String()); err != nil || len(left) > 0 {
		t.Errorf("there is %v, %v", left, err)
	}
	if _, err := Directory("/dev/null").List(t.Context()); err == nil || !strings.Contains(err.Error(), "to cure") {
		t.Errorf("a file: %v", err)
	}
}
