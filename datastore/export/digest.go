package export

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"

	"github.com/skerry-io/skerry/datastore/engine"
)

// Digest sums up records, in the order of their keys: two stores with the same digest hold the same.
type Digest struct {
	sum hash.Hash
	// Keys and Bytes are how many records there were, and how long their keys and values.
	Keys, Bytes int64
}

// NewDigest has seen nothing.
func NewDigest() *Digest { return &Digest{sum: sha256.New()} }

// Add takes in the key and value of a record. Its revisions are left out: not every engine can keep them.
func (d *Digest) Add(r engine.Record) {
	var lengths [16]byte
	binary.LittleEndian.PutUint64(lengths[:8], uint64(len(r.Key)))
	binary.LittleEndian.PutUint64(lengths[8:], uint64(len(r.Value)))
	d.sum.Write(lengths[:])
	d.sum.Write([]byte(r.Key))
	d.sum.Write(r.Value)
	d.Keys++
	d.Bytes += int64(len(r.Key) + len(r.Value))
}

// String is the digest of what was added so far.
func (d *Digest) String() string { return hex.EncodeToString(d.sum.Sum(nil)) }
