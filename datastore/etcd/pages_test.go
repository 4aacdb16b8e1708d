package etcd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
)

// likeEtcd is how etcd opens its database.
func likeEtcd() *bolt.Options {
	return &bolt.Options{Timeout: time.Second, NoFreelistSync: true, FreelistType: bolt.FreelistMapType}
}

// forest makes a database with trees of several levels, a bucket within another, a small one, values that need several pages, and free pages.
func forest(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := bolt.Open(path, 0o600, likeEtcd())
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 { // what the second writes anew leaves pages free
		err = db.Update(func(tx *bolt.Tx) error {
			small, err := tx.CreateBucketIfNotExists([]byte("small"))
			if err != nil {
				return err
			}
			if err := small.Put([]byte("a"), fmt.Appendf(nil, "%d", round)); err != nil {
				return err
			}
			outer, err := tx.CreateBucketIfNotExists([]byte("outer"))
			if err != nil {
				return err
			}
			inner, err := outer.CreateBucketIfNotExists([]byte("inner"))
			if err != nil {
				return err
			}
			for i := range 300 {
				key := fmt.Appendf(nil, "%03d %s", i, strings.Repeat("k", 400+100*(i%5)))
				if err := inner.Put(key, bytes.Repeat([]byte{byte(i)}, 100)); err != nil {
					return err
				}
				if err := outer.Put(key[:3], bytes.Repeat([]byte{byte(i)}, 10+i%7*i%7*i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// What is found to be whole can be opened: bbolt would end this process otherwise. The database that it ends over is kept in the test's folder.
func TestWhatIsWholeIsOpened(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile(forest(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "db")
	seen, tries := 0, 1500
	for range tries {
		bad := bytes.Clone(good)
		at := rand.IntN(len(bad)/4096)*4096 + rand.IntN(64) // where pages say what they are, mostly
		if rand.IntN(2) == 0 {
			at = rand.IntN(len(bad))
		}
		bad[at] ^= byte(1) << rand.IntN(8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if check(t.Context(), path) != nil {
			seen++
			continue
		}
		db, err := bolt.Open(path, 0o600, likeEtcd())
		if err != nil {
			t.Errorf("it was whole, and is not opened: %v", err)
			continue
		}
		if err := errors.Join(db.Update(everywhere), db.Close()); err != nil {
			t.Error(err)
		}
	}
	if seen == 0 || seen == tries {
		t.Errorf("%d of %d changed bits were seen", seen, tries)
	}
}

// everywhere writes into each bucket, at both ends and in the middle.
func everywhere(tx *bolt.Tx) error {
	return tx.ForEach(func(_ []byte, b *bolt.Bucket) error {
		var err error
		if inner := b.Bucket([]byte("inner")); inner != nil {
			err = inner.Put([]byte("150 more"), []byte("x"))
		}
		return errors.Join(err, b.Put([]byte("!"), []byte("x")), b.Put([]byte("150 more"), []byte("x")), b.Put([]byte("~"), []byte("x")), b.Delete([]byte("!")))
	})
}

// Every way in which a tree can be out of order is found, and said.
func TestTreesOutOfOrder(t *testing.T) {
	t.Parallel()
	path := forest(t)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := check(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	var branch, leaf, root int64 // a page of each kind, and the root's, where its text begins
	err = look(path, func(tx *bolt.Tx) error {
		size := int64(tx.DB().Info().PageSize)
		root = int64(tx.Cursor().Bucket().Root()) * size
		branch = int64(tx.Bucket([]byte("outer")).Bucket([]byte("inner")).Root()) * size
		for leaf = branch; good[leaf+8] == branchPage; {
			leaf = int64(binary.NativeEndian.Uint64(good[leaf+pageHead+8:])) * size
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const first, second = pageHead, pageHead + elementLen
	key := func(p []byte, element int) []byte { return p[element+int(binary.NativeEndian.Uint32(p[element:])):] } // of a branch
	small := func(p []byte) []byte {                                                                              // the second bucket of the root, which lies in its value
		at, key := binary.NativeEndian.Uint32(p[second+4:]), binary.NativeEndian.Uint32(p[second+8:])
		return p[second+at+key+bucketHead:]
	}
	for _, one := range []struct {
		want string
		at   int64
		harm func(p []byte)
	}{
		{"is said to be page", branch, func(p []byte) { p[0] ^= 1 }},
		{"the unknown kind", leaf, func(p []byte) { p[8] = 8 }},
		{"the file ends", leaf, func(p []byte) { p[14] = 0xff }},
		{"used twice", branch, func(p []byte) { p[12] = 1 }},
		{"a bucket is cut off", root, func(p []byte) { copy(p[second+12:], []byte{15, 0, 0, 0}) }},
		{"a bucket: it is of the unknown kind", root, func(p []byte) { small(p)[8] = 4 }},
		{"a bucket: it is no leaf", root, func(p []byte) { small(p)[8] = branchPage }},
		{"a bucket: it has more keys than room", root, func(p []byte) { small(p)[11] = 1 }},
		{"a key goes beyond its end", root, func(p []byte) { small(p)[first+8+2] = 1 }},
		{"leads nowhere", branch, func(p []byte) { p[10], p[11] = 0, 0 }},
		{"a key is empty", leaf, func(p []byte) { copy(p[first+8:first+12], make([]byte, 4)) }},
		{"more keys than room", branch, func(p []byte) { p[11] = 0xff }},
		{"goes beyond its end", leaf, func(p []byte) { p[first+4+3] = 0xff }},
		{"the file has", branch, func(p []byte) { p[first+8+2] = 0xff }},
		{"not in order", leaf, func(p []byte) { copy(p[second+4:second+12], p[first+4:first+12]); p[second+4] -= elementLen }},
		{"belongs before it", branch, func(p []byte) { key(p, first)[0] = '9' }},
		{"belongs behind it", branch, func(p []byte) { copy(key(p, second), "001") }},
	} {
		bad := bytes.Clone(good)
		one.harm(bad[one.at : one.at+4096])
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := check(t.Context(), path); err == nil || !strings.Contains(err.Error(), one.want) {
			t.Errorf("it should say %q, and says %v", one.want, err)
		}
	}
}

// What etcd would not survive, or not call damage, is found before it starts.
func TestWhatEtcdStumblesOver(t *testing.T) {
	t.Parallel()
	one := run(t, newSite(t).member(1)).up()
	put(t, one.c, "/registry/a", "1")
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	path := one.config.database()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := check(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	for what, harm := range map[string]func(tx *bolt.Tx) error{
		"a key that is no revision": func(tx *bolt.Tx) error { return tx.Bucket(schema.Key.Name()).Put([]byte("12345678-12345678"), nil) },
		"a value that is none": func(tx *bolt.Tx) error {
			return tx.Bucket(schema.Key.Name()).Put(mvcc.RevToBytes(mvcc.Revision{Main: 9}, mvcc.NewRevBytes()), []byte("x"))
		},
		"a member that is no JSON": func(tx *bolt.Tx) error {
			return tx.Bucket(schema.Members.Name()).Put([]byte("0123456789abcdef"), []byte(`{"id":1}x`))
		},
	} {
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := bolt.Open(path, 0o600, likeEtcd())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(harm), db.Close()); err != nil {
			t.Fatal(err)
		}
		if err := check(t.Context(), path); err == nil || !strings.Contains(err.Error(), "the database is damaged") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Whatever bbolt makes is in order.
func TestHealthyTreesAreInOrder(t *testing.T) {
	t.Parallel()
	for n := range 24 {
		options := likeEtcd()
		options.PageSize = 4096 << (n % 3 * 2)
		options.NoFreelistSync = n%2 == 0
		options.NoSync = true
		path := filepath.Join(t.TempDir(), "db")
		db, err := bolt.Open(path, 0o600, options)
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			if err := db.Update(anything); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := check(t.Context(), path); err != nil {
			t.Errorf("pages of %d bytes, free list kept %t, after %d changes: %v", options.PageSize, !options.NoFreelistSync, n, err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := check(ctx, forest(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("a check that is ended: %v", err)
	}
}

// anything puts and deletes keys of all lengths, and buckets.
func anything(tx *bolt.Tx) error {
	name := []byte{byte('a' + rand.IntN(3))}
	b, err := tx.CreateBucketIfNotExists(name)
	if err != nil {
		return err
	}
	for range rand.IntN(400) {
		key := fmt.Appendf(nil, "%d%s", rand.IntN(300), strings.Repeat("k", rand.IntN(3)*rand.IntN(3000)))
		if rand.IntN(3) == 0 {
			err = b.Delete(key)
		} else {
			err = b.Put(key, make([]byte, rand.IntN(3)*rand.IntN(20_000)))
		}
		if err != nil {
			return err
		}
	}
	switch rand.IntN(6) {
	case 0:
		return tx.DeleteBucket(name)
	case 1:
		c := b.Cursor() // all are gone: an empty page
		for key, _ := c.First(); key != nil; key, _ = c.Next() {
			if err := c.Delete(); err != nil {
				return err
			}
		}
	}
	return nil
}
