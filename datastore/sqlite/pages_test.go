package sqlite

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/skerry-io/skerry/datastore/engine"
)

// tree is a database file that nobody uses, with the page from which all records are found.
type tree struct {
	text []byte
	root int
	last int64
}

// planted makes one whose records take many pages.
func planted(t *testing.T) tree {
	t.Helper()
	const records = 600
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	b := engine.Batch{}
	for revision := int64(1); revision <= records; revision++ {
		b.Put = append(b.Put, record(revision))
	}
	commit(t, db, b)
	r := tree{last: records}
	if err := db.conn.QueryRowContext(t.Context(), "SELECT rootpage FROM sqlite_schema WHERE name = 'log'").Scan(&r.root); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.text, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if size := int(binary.BigEndian.Uint16(r.text[16:])); size != pageSize || r.page(r.root)[0] != 0x05 || r.cells(r.root) < 50 {
		t.Fatalf("pages of %d bytes, and the first is of kind %d", size, r.page(r.root)[0])
	}
	return r
}

func (r tree) page(number int) []byte { return r.text[(number-1)*pageSize : number*pageSize] }

func (r tree) cells(number int) int { return int(binary.BigEndian.Uint16(r.page(number)[3:])) }

// pointer is where the root says which page has its part i; the last stands by itself.
func (r tree) pointer(i int) []byte {
	page := r.page(r.root)
	if i == r.cells(r.root) {
		return page[8:]
	}
	return page[binary.BigEndian.Uint16(page[12+2*i:]):]
}

func (r tree) child(i int) int { return int(binary.BigEndian.Uint32(r.pointer(i))) }

func (r tree) lead(i, to int) { binary.BigEndian.PutUint32(r.pointer(i), uint32(to)) }

func (r tree) count(number, cells int) { binary.BigEndian.PutUint16(r.page(number)[3:], uint16(cells)) }

// grown gives a copy to which something was done, as a file.
func (r tree) grown(t *testing.T, harm func(tree)) string {
	t.Helper()
	harmed := tree{bytes.Clone(r.text), r.root, r.last}
	harm(harmed)
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, harmed.text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each page is good by itself, and they do not belong together any more: that is damage, and never a database with fewer records.
func TestPagesThatLeadOrCountWrongly(t *testing.T) {
	good := planted(t)
	if _, found := all(t, opened(t, good.grown(t, func(tree) {}))); int64(len(found)) != good.last {
		t.Fatalf("%d records are in the file that is good", len(found))
	}
	right := good.cells(good.root)
	cases := map[string]func(tree){
		"the root has one part less":          func(r tree) { r.count(r.root, right-1) },
		"the root has half of its parts":      func(r tree) { r.count(r.root, right/2) },
		"the root has one part":               func(r tree) { r.count(r.root, 1) },
		"the root has none":                   func(r tree) { r.count(r.root, 0) },
		"the last part is one of the others":  func(r tree) { r.lead(right, r.child(3)) },
		"the last part is the one before it":  func(r tree) { r.lead(right, r.child(right-1)) },
		"the last part is behind the file":    func(r tree) { r.lead(right, len(r.text)/pageSize+1) },
		"the last part is the root":           func(r tree) { r.lead(right, r.root) },
		"two parts are in each other's place": func(r tree) { a, b := r.child(5), r.child(6); r.lead(5, b); r.lead(6, a) },
		"a part is the schema":                func(r tree) { r.lead(7, 1) },
		"the first part is the last":          func(r tree) { r.lead(0, r.child(right)) },
		"the last part has one record less":   func(r tree) { r.count(r.child(right), r.cells(r.child(right))-1) },
		"the last part has none":              func(r tree) { r.count(r.child(right), 0) },
		"the last part is a copy of another":  func(r tree) { copy(r.page(r.child(right)), r.page(r.child(right-1))) },
	}
	for i := 0; i < right; i += 9 {
		cases[fmt.Sprintf("part %d is the next one", i)] = func(r tree) { r.lead(i, r.child(i+1)) }
		cases[fmt.Sprintf("part %d has one record less", i)] = func(r tree) { r.count(r.child(i), r.cells(r.child(i))-1) }
		cases[fmt.Sprintf("part %d has none", i)] = func(r tree) { r.count(r.child(i), 0) }
	}
	for name, harm := range cases {
		db, err := Open(t.Context(), good.grown(t, harm), Options{})
		found := 0
		if err == nil {
			_, err = db.Load(t.Context(), func(engine.Record) error {
				found++
				return nil
			})
			_ = db.Close()
		}
		if !Damaged(err) {
			t.Errorf("%s: it gives %d of %d records, %v", name, found, good.last, err)
		}
	}
}

// Whoever only reads on notices what comes twice, too.
func TestRecordsThatDoNotAscend(t *testing.T) {
	good := planted(t)
	for name, harm := range map[string]func(tree){
		"two parts are in each other's place": func(r tree) { a, b := r.child(5), r.child(6); r.lead(5, b); r.lead(6, a) },
		"a part comes twice":                  func(r tree) { r.lead(6, r.child(5)) },
	} {
		db := opened(t, good.grown(t, harm))
		if err := db.loadStored(t.Context(), nil, func(engine.Record) error { return nil }); !Damaged(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Free pages that are counted wrongly are lost room, and no reason to go back to a snapshot.
func TestFreePagesThatAreCountedWrongly(t *testing.T) {
	good := planted(t)
	db := opened(t, good.grown(t, func(r tree) { r.text[39] ^= 1 })) // the last byte of their number
	if _, found := all(t, db); int64(len(found)) != good.last {
		t.Errorf("%d records are found", len(found))
	}
}
