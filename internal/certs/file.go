package certs

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	if err := WriteFile(p.KeyFile(), text, 0o600); err != nil {
		return err
	}
	return p.SaveCert(cert)
}

// SaveCert replaces the certificate by another one for the same key. Who reads both files at that moment gets a pair that
// belongs together, either way.
func (p Pair) SaveCert(cert *x509.Certificate) error {
	return WriteFile(p.CertFile(), EncodeCert(cert), 0o644)
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
	return key, WriteFile(path, text, 0o600)
}

// WriteFile replaces a file as a whole: after a power cut it is the old one or the new one, and once WriteFile has
// returned it is the new one. Directories that are missing are made, for root alone.
func WriteFile(path string, content []byte, mode fs.FileMode) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one that counts
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory last: an authority that was handed to nodes must not be gone after a power cut.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
