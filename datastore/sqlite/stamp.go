package sqlite

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
)

const (
	// keySize is the length of a key, and sealSize that of a seal, in bytes.
	keySize, sealSize = 32, 16
	// stampSize is the length of a stamp as it is kept: number, key, checksum.
	stampSize = 8 + keySize + 8
)

// stamp is what the database says of the file of the latest changes. Its key is random, and stays what it is as long as there is the
// database: values of clients lie in the file as they came, and none of them can be made to look like an entry by who does not know it.
type stamp struct {
	number uint64 // of the newest entry that the database has
	key    []byte // what entries are sealed with; nil while there are none
}

// newKey makes a key that nobody knows.
func newKey() ([]byte, error) {
	key := make([]byte, keySize)
	_, err := rand.Read(key)
	return key, err
}

// encode gives the form in which a stamp is kept. It has a checksum: with a wrong key all of the latest changes would look like none.
func (s stamp) encode() []byte {
	text := append(binary.LittleEndian.AppendUint64(make([]byte, 0, stampSize), s.number), s.key...)
	return binary.LittleEndian.AppendUint64(text, uint64(crc32.Checksum(text, table())))
}

func parseStamp(text []byte) (stamp, error) {
	const sum = stampSize - 8
	if len(text) != stampSize || uint64(crc32.Checksum(text[:sum], table())) != binary.LittleEndian.Uint64(text[sum:]) {
		return stamp{}, fmt.Errorf("%w: what it says of the latest changes is not what was written", ErrDamaged)
	}
	return stamp{number: binary.LittleEndian.Uint64(text), key: text[8:sum]}, nil
}

// store brings a stamp into the table of states, in numbers: an earlier release reads them all, and passes over those that it does not know.
func (s stamp) store(ctx context.Context, db *sql.Conn) error {
	text := s.encode()
	for at := 0; at < stampSize; at += 8 {
		part := int64(binary.LittleEndian.Uint64(text[at:]))
		if _, err := db.ExecContext(ctx, "REPLACE INTO state(name, value) VALUES(?, ?)", fmt.Sprintf("%s%02d", stateLatest, at), part); err != nil {
			return err
		}
	}
	return nil
}

// stampIn reads the stamp of a database; that of one that had no changes yet is empty.
func stampIn(ctx context.Context, db interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}) (stamp, error) {
	rows, err := db.QueryContext(ctx, "SELECT value FROM state WHERE name GLOB '"+stateLatest+"*' ORDER BY name")
	if err != nil {
		return stamp{}, err
	}
	defer rows.Close()
	var text []byte
	for rows.Next() {
		var part int64
		if err := rows.Scan(&part); err != nil { // it is no number
			return stamp{}, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		text = binary.LittleEndian.AppendUint64(text, uint64(part))
	}
	if err := rows.Err(); err != nil || text == nil {
		return stamp{}, err
	}
	return parseStamp(text)
}

// sealer makes the seals of a key.
func sealer(key []byte) hash.Hash { return hmac.New(sha256.New, key) }

func sealOf(with hash.Hash, text []byte) []byte {
	with.Reset()
	_, _ = with.Write(text) // a hash takes everything
	return with.Sum(nil)[:sealSize]
}
