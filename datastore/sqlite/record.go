package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/skerry-io/skerry/datastore/engine"
)

// ErrDamaged says that the file does not hold what was written to it.
var ErrDamaged = errors.New("the database is damaged")

const (
	isDeleted = 1
	sumSize   = 4
)

func table() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// encode appends the form in which a record is kept: flags, how far back it was created, version, lease, its end, the
// key with its length, the value, and a checksum over the revision and all of that.
func encode(to []byte, r *engine.Record) []byte {
	start := len(to)
	var flags byte
	if r.Deleted {
		flags |= isDeleted
	}
	to = append(to, flags)
	for _, n := range []int64{r.Revision - r.Created, r.Version, r.Lease, r.Expires, int64(len(r.Key))} {
		to = binary.AppendUvarint(to, uint64(n))
	}
	to = append(to, r.Key...)
	to = append(to, r.Value...)
	return binary.LittleEndian.AppendUint32(to, checksum(r.Revision, to[start:]))
}

func checksum(revision int64, data []byte) uint32 {
	var head [8]byte
	binary.LittleEndian.PutUint64(head[:], uint64(revision))
	return crc32.Update(crc32.Update(0, table(), head[:]), table(), data)
}

// decode reads a record; its value is a part of data.
func decode(revision int64, data []byte) (engine.Record, error) {
	if len(data) < sumSize+1 || checksum(revision, data[:len(data)-sumSize]) != binary.LittleEndian.Uint32(data[len(data)-sumSize:]) {
		return engine.Record{}, fmt.Errorf("%w: the record of revision %d has a wrong checksum", ErrDamaged, revision)
	}
	r := engine.Record{Revision: revision, Deleted: data[0]&isDeleted != 0}
	rest := data[1 : len(data)-sumSize]
	var numbers [5]int64
	for i := range numbers {
		n, size := binary.Uvarint(rest)
		if size <= 0 {
			return engine.Record{}, fmt.Errorf("%w: the record of revision %d is cut off", ErrDamaged, revision)
		}
		numbers[i], rest = int64(n), rest[size:]
	}
	if numbers[4] < 0 || numbers[4] > int64(len(rest)) {
		return engine.Record{}, fmt.Errorf("%w: the record of revision %d has a wrong key", ErrDamaged, revision)
	}
	r.Created, r.Version, r.Lease, r.Expires = revision-numbers[0], numbers[1], numbers[2], numbers[3]
	r.Key, r.Value = string(rest[:numbers[4]]), rest[numbers[4]:]
	return r, nil
}

// Damaged says that an error means that the file is not what was written, and not that the disk is full, slow or gone.
func Damaged(err error) bool {
	var told *driver.Error
	if errors.As(err, &told) {
		code := told.Code() & 0xff                                                                                               // the rest says more about where
		return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB || told.Code() == sqlite3.SQLITE_IOERR_SHORT_READ // it was cut off
	}
	return errors.Is(err, ErrDamaged)
}
