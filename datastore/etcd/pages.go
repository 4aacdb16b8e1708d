package etcd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	bolt "go.etcd.io/bbolt"
)

// The form of a page of a bbolt file (go.etcd.io/bbolt, internal/common: page.go, inode.go, bucket.go): a head of id, flags, count and overflow;
// one element for each key, which says where the key is, counted from itself; keys, each followed by its value. Sizes are in bytes; numbers are in
// the machine's own order.
const (
	pageHead    = 16
	elementLen  = 16
	branchPage  = 1
	leafPage    = 2
	bucketEntry = 1  // in the flags of a leaf's element: the value is a bucket
	bucketHead  = 16 // of such a value; the first 8 are its root
)

// tree is the tree of pages that a database consists of. When bbolt opens a database that does not list its free pages, as etcd's does not, it
// follows all of the tree, and ends the process, past any recover, over a tree that is not in order. So it is looked at before.
type tree struct {
	ctx  context.Context
	file io.ReaderAt
	page int64 // bytes in a page
	end  int64 // pages in the file
	seen []bool
}

// inOrder is an error when a page is missing, of no known kind, used twice, or has keys that are not in order or do not belong there; or when
// ctx ends.
func inOrder(ctx context.Context, tx *bolt.Tx, file io.ReaderAt) error {
	page := int64(tx.DB().Info().PageSize)
	t := &tree{ctx: ctx, file: file, page: page, end: tx.Size() / page}
	t.seen = make([]bool, t.end)
	_, err := t.under(int64(tx.Cursor().Bucket().Root()), nil, nil)
	return err
}

// under looks at a page and all that it leads to: keys from least on and below limit, where these are given. It returns the last one.
func (t *tree) under(id int64, least, limit []byte) (last []byte, err error) {
	p, err := t.read(id)
	if err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return t.keys(p, least, limit)
}

// keys looks at the keys of a page, and all that they lead to.
func (t *tree) keys(p *page, least, limit []byte) (last []byte, err error) {
	for i := range p.count {
		key, err := p.key(i)
		switch {
		case err != nil:
		case i == 0 && bytes.Compare(key, least) < 0:
			err = errors.New("its first key belongs before it")
		case i > 0 && bytes.Compare(key, last) <= 0:
			err = errors.New("its keys are not in order")
		case limit != nil && bytes.Compare(key, limit) >= 0:
			err = errors.New("a key belongs behind it")
		}
		if err != nil {
			return nil, fmt.Errorf("page %d: %w", p.id, err)
		}
		if last, err = t.below(p, i, key, limit); err != nil {
			return nil, err
		}
	}
	return last, nil
}

// below looks at what the i-th key of a page leads to, if anything, and returns the last key that belongs to the page's own tree.
func (t *tree) below(p *page, i int, key, limit []byte) (last []byte, err error) {
	if p.leaf {
		return key, t.bucket(p, i)
	}
	if i+1 < p.count {
		if limit, err = p.key(i + 1); err != nil {
			return nil, fmt.Errorf("page %d: %w", p.id, err)
		}
	}
	return t.under(int64(binary.NativeEndian.Uint64(p.element(i)[8:])), key, limit)
}

// bucket looks at the bucket that the i-th value of a leaf is, if it is one. All of a small one lies in the value.
func (t *tree) bucket(p *page, i int) error {
	if binary.NativeEndian.Uint32(p.element(i))&bucketEntry == 0 {
		return nil
	}
	at, key, size := p.place(i)
	if size < bucketHead {
		return fmt.Errorf("page %d: a bucket is cut off", p.id)
	}
	head, err := p.part(at+key, bucketHead)
	if err != nil {
		return fmt.Errorf("page %d: %w", p.id, err)
	}
	if root := int64(binary.NativeEndian.Uint64(head)); root != 0 {
		_, err := t.under(root, nil, nil)
		return err
	}
	small := &page{id: p.id, size: size - bucketHead}
	if small.text, err = p.part(at+key+bucketHead, small.size); err == nil {
		err = small.open()
	}
	if err == nil && !small.leaf {
		err = errors.New("it is no leaf")
	}
	if err != nil {
		return fmt.Errorf("page %d: a bucket: %w", p.id, err)
	}
	_, err = t.keys(small, nil, nil)
	return err
}

// read reads what a page, which may be several in a row, says of itself and its keys, and takes it for used.
func (t *tree) read(id int64) (*page, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	if id < 0 || id >= t.end {
		return nil, fmt.Errorf("the file has %d pages", t.end)
	}
	p := &page{file: t.file, id: id, at: id * t.page, text: make([]byte, t.page)}
	if _, err := t.file.ReadAt(p.text, p.at); err != nil {
		return nil, err
	}
	if own := int64(binary.NativeEndian.Uint64(p.text)); own != id {
		return nil, fmt.Errorf("it is said to be page %d", own)
	}
	pages := 1 + int64(binary.NativeEndian.Uint32(p.text[12:]))
	if p.size = pages * t.page; id+pages > t.end {
		return nil, fmt.Errorf("it has %d pages more, and the file ends", pages-1)
	}
	if err := p.open(); err != nil {
		return nil, err
	}
	for i := id; i < id+pages; i++ {
		if t.seen[i] {
			return nil, errors.New("it is used twice")
		}
		t.seen[i] = true
	}
	if elements := p.elements(); elements > t.page {
		p.text = make([]byte, elements)
		if _, err := t.file.ReadAt(p.text, p.at); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// page is one of a tree.
type page struct {
	file     io.ReaderAt
	id       int64
	at, size int64  // where it begins in the file, and its length
	text     []byte // its beginning, with all elements
	leaf     bool
	count    int // of keys
}

// open reads the head.
func (p *page) open() error {
	if len(p.text) < pageHead {
		return errors.New("it is cut off")
	}
	kind := binary.NativeEndian.Uint16(p.text[8:])
	p.leaf, p.count = kind == leafPage, int(binary.NativeEndian.Uint16(p.text[10:]))
	switch {
	case !p.leaf && kind != branchPage:
		return fmt.Errorf("it is of the unknown kind %d", kind)
	case !p.leaf && p.count == 0:
		return errors.New("it leads nowhere")
	case p.elements() > p.size:
		return errors.New("it has more keys than room")
	}
	return nil
}

// elements is where they end.
func (p *page) elements() int64 { return pageHead + int64(p.count)*elementLen }

func (p *page) element(i int) []byte { return p.text[pageHead+i*elementLen:][:elementLen] }

// place is where the i-th key is in the page, and the length of the key and its value. In a branch an element is where, length, page; in a leaf
// flags, where, length, length of the value.
func (p *page) place(i int) (at, key, value int64) {
	e := p.element(i)
	if p.leaf {
		value = int64(binary.NativeEndian.Uint32(e[12:]))
		e = e[4:]
	}
	at = pageHead + int64(i)*elementLen + int64(binary.NativeEndian.Uint32(e))
	return at, int64(binary.NativeEndian.Uint32(e[4:])), value
}

// key is the i-th key, whose value is in the page too.
func (p *page) key(i int) ([]byte, error) {
	at, size, value := p.place(i)
	if at+size+value > p.size {
		return nil, errors.New("a key goes beyond its end")
	}
	if size == 0 {
		return nil, errors.New("a key is empty")
	}
	return p.part(at, size)
}

// part is a piece of the page: what large values push beyond the beginning is read alone.
func (p *page) part(at, size int64) ([]byte, error) {
	if at+size <= int64(len(p.text)) {
		return p.text[at : at+size], nil
	}
	text := make([]byte, size)
	_, err := p.file.ReadAt(text, p.at+at)
	return text, err
}
