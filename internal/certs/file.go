package certs

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skerry-io/skerry/internal/fault"
)

// Pair is a certificate with its key on disk: BASE.crt and BASE.key.
type Pair struct{ Base string }

// CertFile is the path of the certificate.
func (p Pair) CertFile() string { return p.Base + ".crt" }

// KeyFile is the path of the key.
func (p Pair) KeyFile() string { return p.Base + ".key" }

// Load reads both; the error is fs.ErrNotExist when neither file is there.
func (p Pair) Load() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certText, certErr := os.ReadFile(p.CertFile())
	keyText, keyErr := os.ReadFile(p.KeyFile())
	if err := errors.Join(certErr, keyErr); err != nil {
		if errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist) {
			return nil, nil, fs.ErrNotExist
		}
		return nil, nil, err
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

// Save writes both, the key first: a certificate never stands without its key.
func (p Pair) Save(cert *x509.Certificate, key *ecdsa.PrivateKey) error {
	text, err := EncodeKey(key)
	if err != nil {
		return err
	}
	if err := WriteFile(p.KeyFile(), text, 0o600); err != nil {
		return err
	}
	return WriteFile(p.CertFile(), EncodeCert(cert), 0o644)
}

// LoadKey reads a private key, or makes and saves one when there is none.
func LoadKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := NewKey()
		if err != nil {
			return nil, err
		}
		if text, err = EncodeKey(key); err != nil {
			return nil, err
		}
		return key, WriteFile(path, text, 0o600)
	}
	if err != nil {
		return nil, err
	}
	key, err := DecodeKey(text)
	if err != nil {
		return nil, fault.New("read the private key %s", path).Because(err).Fix("put the file back from a backup")
	}
	return key, nil
}

// WriteFile replaces a file as a whole: after a power cut it is the old one or the new one.
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
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
