package token

import (
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// Open reads the token file, or writes it: with the user's choice when there is one, else with a new secret. Its text
// always carries the fingerprint of ca.
func Open(path string, chosen string, ca *x509.Certificate) (wire.Token, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wire.Token{}, fault.New("read the token file").Because(err).Fix("make %s a file that can be read, or remove it to have a new token made", path)
	}
	token := wire.NewToken(ca)
	switch {
	case chosen != "":
		set, err := wire.ParseToken(chosen)
		if err != nil {
			return wire.Token{}, err
		}
		token.Secret = set.Secret
	case err == nil:
		kept, err := wire.ParseToken(string(text))
		if err != nil {
			return wire.Token{}, fault.New("the token file %s is empty or damaged", path).
				Fix("put the file back from a backup, or remove it to have a new token made")
		}
		token.Secret = kept.Secret
	}
	if string(text) == token.String()+"\n" {
		return token, nil
	}
	return token, certs.WriteFile(path, []byte(token.String()+"\n"), 0o600)
}

// Match compares a secret with the token's.
func Match(token wire.Token, secret string) bool {
	return subtle.ConstantTimeCompare([]byte(token.Secret), []byte(secret)) == 1
}
