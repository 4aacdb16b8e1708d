package certs

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/skerry-io/skerry/internal/durable"
)

// Pair is a certificate with its key on disk: BASE.crt and BASE.key.
type Pair struct{ Base string }

// CertFile is the path of the certificate.
func (p Pair) CertFile() string { return p.Base + ".crt" }

// KeyFile is the path of the key.
func (p Pair) KeyFile() string { return p.Base + ".key" }

// ErrNoPair says that neither file of a Pair is there.
var ErrNoPair = errors.New("neither certificate nor key exists")

// ErrNoCert says that the key of a Pair is there alone, as after a power cut inside the first Save.
var ErrNoCert = errors.New("the key has no certificate")

// Load reads both files, which must belong together. The error is ErrNoPair when neither is there, ErrNoCert when only
// the key is.
func (p Pair) Load() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certText, certErr := os.ReadFile(p.CertFile())
	keyText, keyErr := os.ReadFile(p.KeyFile())
	noCert, noKey := errors.Is(certErr, fs.ErrNotExist), errors.Is(keyErr, fs.ErrNotExist)
	switch {
	case noCert && noKey:
		return nil, nil, fmt.Errorf("%s: %w", p.Base, ErrNoPair)
	case noCert && keyErr == nil:
		return nil, nil, fmt.Errorf("%s: %w", p.KeyFile(), ErrNoCert)
	case certErr != nil || keyErr != nil:
		return nil, nil, errors.Join(certErr, keyErr)
	}
	cert, err := DecodeCert(certText)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.CertFile(), err)
	}
	key, err := DecodeKey(keyText)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.KeyFile(), err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("%s does not belong to %s", p.KeyFile(), p.CertFile())
	}
	return cert, key, nil
}

// Save writes both, the key first: a certificate never stands without a key.
func (p Pair) Save(cert *x509.Certificate, key *ecdsa.PrivateKey) error {
	text, err := EncodeKey(key)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(p.KeyFile(), text, 0o600); err != nil {
		return err
	}
	return p.SaveCert(cert)
}

// SaveCert replaces the certificate by another one for the same key. Who reads both files at that moment gets a pair that
// belongs together, either way.
func (p Pair) SaveCert(cert *x509.Certificate) error {
	return durable.WriteFile(p.CertFile(), EncodeCert(cert), 0o644)
}

// LoadKey reads a private key, or makes and saves one when there is no such file.
func LoadKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return nil, err
	}
	key, err := DecodeKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

func makeKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	text, err := EncodeKey(key)
	if err != nil {
		return nil, err
	}
	return key, durable.WriteFile(path, text, 0o600)
}
