package apicache

import (
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"
)

// saltSize is the length of what makes the key of each file another one, in bytes.
const saltSize = 16

// sealer seals and opens the records of one file. ChaCha20 is used because small boards have no instructions for AES.
type sealer struct{ aead cipher.AEAD }

// newSealer derives a file's key from the node's.
func newSealer(key *ecdsa.PrivateKey, salt []byte) (sealer, error) {
	secret, err := key.Bytes()
	if err != nil {
		return sealer{}, err
	}
	derived, err := hkdf.Key(sha256.New, secret, salt, "skerry api cache", chacha20poly1305.KeySize)
	if err != nil {
		return sealer{}, err
	}
	aead, err := chacha20poly1305.NewX(derived)
	return sealer{aead}, err
}

// seal gives a record that can be opened at this place of its file only.
func (s sealer) seal(text []byte, at int64) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(text)+chacha20poly1305.Overhead)
	_, _ = rand.Read(nonce) // never fails
	return s.aead.Seal(nonce, nonce, text, position(at))
}

func (s sealer) open(record []byte, at int64) ([]byte, error) {
	if len(record) < chacha20poly1305.NonceSizeX {
		return nil, errTorn
	}
	nonce, text := record[:chacha20poly1305.NonceSizeX], record[chacha20poly1305.NonceSizeX:]
	return s.aead.Open(nil, nonce, text, position(at))
}

func position(at int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(at)) }
