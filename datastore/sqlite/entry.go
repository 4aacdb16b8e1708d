package sqlite

import (
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"os"

	"github.com/skerry-io/skerry/datastore/engine"
)

// latestFile is added to the database's name for the file of the latest changes: those that are on disk and not in the database yet.
// It holds entries, one behind the other, each of a commit, with a header and filled up to a multiple of a sector. It is written from
// its front again once the database has all of it; what is behind the newest entry is of the rounds before, and has lower numbers. Each
// entry is sealed with the key that the database has: only that tells it from a value that lies there.
const latestFile = "-latest"

const (
	sector = 512
	// mostUnit is what entries are filled up to a multiple of at most.
	mostUnit = 4096
	// mostEntry is how long an entry is at most; what does not fit goes into the database at once. So does what is longer than cheapEntry,
	// if the write-ahead log has time for it: to write it a third time would cost more than it saves.
	mostEntry, cheapEntry = 256 << 10, 24 << 10
	// entryHead is the length of a header: the seal of all that follows, the entry's number, the length of its content, the length of all
	// of it with what it was filled up with.
	entryHead = sealSize + 16
)

// change is a part of a batch as it is written down.
type change struct {
	kind   byte
	number int64 // a revision, or what state it is about is set to
	record []byte
}

// The kinds of change.
const (
	isPut byte = iota + 1
	isDrop
	isCompacted
	isLimit
)

// changesOf writes down what a batch does, and gives how many bytes of an entry that may take.
func changesOf(b *engine.Batch) (changes []change, size int) {
	changes = make([]change, 0, len(b.Put)+len(b.Drop)+2)
	for i := range b.Put {
		record := encode(make([]byte, 0, b.Put[i].Size()), &b.Put[i])
		changes = append(changes, change{kind: isPut, number: b.Put[i].Revision, record: record})
		size += len(record)
	}
	for _, revision := range b.Drop {
		changes = append(changes, change{kind: isDrop, number: revision})
	}
	if b.Compacted != 0 {
		changes = append(changes, change{kind: isCompacted, number: b.Compacted})
	}
	if b.Limit != 0 {
		changes = append(changes, change{kind: isLimit, number: b.Limit})
	}
	const each = 1 + 2*binary.MaxVarintLen64
	return changes, size + each*len(changes) + entryHead + mostUnit
}

func appendEntry(to []byte, with hash.Hash, number uint64, changes []change, unit int) []byte {
	to = append(to, make([]byte, entryHead)...)
	for _, c := range changes {
		to = binary.AppendUvarint(append(to, c.kind), uint64(c.number))
		if c.kind == isPut {
			to = append(binary.AppendUvarint(to, uint64(len(c.record))), c.record...)
		}
	}
	content := len(to)
	if over := content % unit; over > 0 {
		to = append(to, make([]byte, unit-over)...)
	}
	binary.LittleEndian.PutUint64(to[sealSize:], number)
	binary.LittleEndian.PutUint32(to[sealSize+8:], uint32(content))
	binary.LittleEndian.PutUint32(to[sealSize+12:], uint32(len(to)))
	copy(to, sealOf(with, to[sealSize:content]))
	return to
}

// entryAt gives the entry that a text begins with, if it is whole.
func entryAt(text []byte, with hash.Hash) (number uint64, content []byte, size int, whole bool) {
	if len(text) < entryHead {
		return 0, nil, 0, false
	}
	end := int(binary.LittleEndian.Uint32(text[sealSize+8:]))
	size = int(binary.LittleEndian.Uint32(text[sealSize+12:]))
	if end < entryHead || size < end || size > min(len(text), mostEntry) || size%sector != 0 || !hmac.Equal(sealOf(with, text[sealSize:end]), text[:sealSize]) {
		return 0, nil, 0, false
	}
	return binary.LittleEndian.Uint64(text[sealSize:]), text[entryHead:end], size, true
}

// latest reads from the file of the latest changes what a database lacks that has this stamp. An error says that there are more, which are
// not to be had, because of damage; what a power cut leaves is fine.
func latest(database string, stored stamp) (changes []change, last uint64, err error) {
	text, err := os.ReadFile(database + latestFile)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, stored.number, nil
	case err != nil:
		return nil, stored.number, err
	case stored.key == nil && len(text) > 0: // the key is on the disk before the first entry
		return nil, stored.number, fmt.Errorf("%w: there are latest changes, and it does not have their key", ErrDamaged)
	}
	last = stored.number
	with := sealer(stored.key)
	at, before := 0, uint64(0)
	for {
		number, content, size, whole := entryAt(text[at:], with)
		if !whole || before > 0 && number != before+1 || number > last+1 {
			break
		}
		if number > last {
			if changes, err = parseChanges(changes, content); err != nil {
				return nil, stored.number, err
			}
			last = number
		}
		at, before = at+size, number
	}
	for ; at < len(text); at += sector {
		if number, _, _, whole := entryAt(text[at:], with); whole && number > last { // each was synced before the next was written
			return changes, last, fmt.Errorf("%w: of the latest changes entry %d is not what was written, and %d is", ErrDamaged, last+1, number)
		}
	}
	return changes, last, nil
}

func parseChanges(changes []change, content []byte) ([]change, error) {
	for len(content) > 0 {
		c := change{kind: content[0]}
		number, size := binary.Uvarint(content[1:])
		if size <= 0 {
			return nil, fmt.Errorf("%w: one of the latest changes is cut off", ErrDamaged)
		}
		c.number, content = int64(number), content[1+size:]
		if c.kind == isPut {
			length, size := binary.Uvarint(content)
			if size <= 0 || length > uint64(len(content)-size) {
				return nil, fmt.Errorf("%w: the record of one of the latest changes is cut off", ErrDamaged)
			}
			c.record, content = content[size:size+int(length)], content[size+int(length):]
		}
		changes = append(changes, c)
	}
	return changes, nil
}
