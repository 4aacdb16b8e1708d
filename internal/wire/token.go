package wire

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"strings"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
)

// tokenMark opens a full token; the digit is the version of the form.
const tokenMark = "SK1"

// Token is a secret that lets a node join, with the fingerprint of the CA it may be told to.
type Token struct {
	CAHash string // SHA-256 of the server CA's certificate, hexadecimal; empty when only a secret was given
	Secret string
}

// NewToken makes a random secret bound to ca.
func NewToken(ca *x509.Certificate) Token {
	return Token{CAHash: certs.Fingerprint(ca), Secret: rand.Text()}
}

// String is the text form: SK1<ca hash>::<secret>.
func (t Token) String() string { return tokenMark + t.CAHash + "::" + t.Secret }

// ParseToken reads the text form; a text without its mark is taken as a secret that the user chose.
func ParseToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	hash, secret, full := strings.Cut(strings.TrimPrefix(text, tokenMark), "::")
	if !strings.HasPrefix(text, tokenMark) || !full {
		if text == "" {
			return Token{}, fault.New("the token is empty").Fix("take the content of the server's token file")
		}
		return Token{Secret: text}, nil
	}
	if sum, err := hex.DecodeString(hash); err != nil || len(sum) != 32 || secret == "" {
		return Token{}, fault.New("the token is damaged").Fix("copy the whole line from the server's token file")
	}
	return Token{CAHash: hash, Secret: secret}, nil
}

// Trusts says whether a server with this CA is the one the token was made by.
func (t Token) Trusts(ca *x509.Certificate) bool {
	return t.CAHash == "" || t.CAHash == certs.Fingerprint(ca)
}
